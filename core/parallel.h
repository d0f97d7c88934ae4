#pragma once

#include <simclr/core/export.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace simclr {

/// The most threads that the CPU kernels use; a larger set_threads() counts as this.
inline constexpr int most_threads = 256;

/// Sets how many threads the CPU kernels use (at least 1). It changes no result.
SIMCLR_API void set_threads(int count);
/// How many threads the CPU kernels use. Starts as the number of processors this process may run on.
SIMCLR_API int threads();

/// While one lives, parallel_for on this thread runs serially. Loader threads hold one, so that they
/// never compete for the compute threads.
class SIMCLR_API SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;

 private:
  bool previous_;
};

/// Scratch memory for a parallel_for: one value a thread, made by the first piece that asks for it. Index: the number
/// that the body is given.
template <class T>
class PerThread {
 public:
  template <class Make>
  T& get(int thread, Make&& make) {
    std::optional<T>& value = values_[static_cast<std::size_t>(thread)];
    if (!value) value.emplace(make());
    return *value;
  }

 private:
  std::array<std::optional<T>, most_threads> values_;
};

/// What one item of a loop costs: floating-point operations, and bytes read and written.
struct ItemCost {
  std::int64_t flop = 0, bytes = 0;
};

/// How many such items make a piece that is worth handing to another thread: some 20 us of a core's work.
/// `bench_threads` measures what the two constants say.
constexpr std::int64_t items_a_piece(const ItemCost& cost) {
  constexpr std::int64_t flop = 2 << 20, bytes = 256 << 10;
  const std::int64_t by_flop = cost.flop > 0 ? flop / cost.flop : flop;
  const std::int64_t by_bytes = cost.bytes > 0 ? bytes / cost.bytes : bytes;
  const std::int64_t items = by_flop < by_bytes ? by_flop : by_bytes;
  return items > 1 ? items : 1;
}

namespace detail {
using RangeFunction = void (*)(void* body, std::int64_t begin, std::int64_t end, int thread);
SIMCLR_API void parallel_for(std::int64_t n, std::int64_t grain, RangeFunction run, void* body);
}  // namespace detail

/// Calls body(begin, end), or body(begin, end, thread), for the pieces [0, grain), [grain, 2 grain), ... of [0, n), on
/// several threads where there are several pieces; for two or three no sleeping thread is woken. The pieces are the
/// same for any number of threads, and so are the results of a body that keeps to its piece. Make a piece worth the
/// handing over, some 20 us (items_a_piece), but no larger: a thread that the system puts aside delays the loop by what
/// is left of its piece. `thread` is below most_threads and belongs to one running thread at a time. Inside a piece
/// parallel_for runs serially, over the same pieces. What a piece throws is rethrown to the caller, that of the first
/// piece where several do; pieces that have not begun by then are left out.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::parallel_for(
      n, grain,
      [](void* opaque, std::int64_t begin, std::int64_t end, [[maybe_unused]] int thread) {
        Plain& call = *static_cast<Plain*>(opaque);
        if constexpr (std::is_invocable_v<Plain&, std::int64_t, std::int64_t, int>) {
          call(begin, end, thread);
        } else {
          call(begin, end);
        }
      },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace simclr
