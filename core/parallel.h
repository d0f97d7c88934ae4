#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <memory>
#include <type_traits>

namespace simclr {

/// Sets how many threads the CPU kernels use (at least 1); vendor libraries follow.
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

namespace detail {
using RangeFunction = void (*)(void* body, std::int64_t begin, std::int64_t end);
SIMCLR_API void parallel_for(std::int64_t n, std::int64_t grain, RangeFunction run, void* body);
}  // namespace detail

/// Calls body(begin, end) over disjoint ranges that cover [0, n), on several threads where n > grain.
/// Ranges are contiguous, one a thread, and depend only on n, grain and the thread count. Runs serially
/// inside another parallel_for. The first exception that a range throws is rethrown to the caller.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::parallel_for(
      n, grain, [](void* opaque, std::int64_t begin, std::int64_t end) { (*static_cast<Plain*>(opaque))(begin, end); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace simclr
