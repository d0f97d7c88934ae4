// Dropout on the CPU: y[n,e] = x[n,e] / (1 - p) or 0, by 16 random bits of the view's key and e (shared/dropout.h).
// Random numbers are drawn for 512 elements at a time, which the compiler does in vectors, and lie then in order.
#include <simclr/core/parallel.h>
#include <simclr/kernels/dropout.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/dropout.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace simclr::kernels {
namespace {

constexpr std::int64_t blocks_at_once = 64, at_once = blocks_at_once * dropout_block;

/// The 16 bits of elements [begin, begin + at_once), begin a multiple of dropout_block.
void draw(const Random& random, std::int64_t begin, std::uint16_t* halves) {
  static_assert(std::endian::native == std::endian::little, "the lower half of a word comes first");
  const auto first = static_cast<std::uint32_t>(begin / dropout_block);
  std::uint32_t words[4 * blocks_at_once];
#pragma omp simd
  for (std::uint32_t b = 0; b < blocks_at_once; ++b) {
    const Philox::Block block = random.block(first + b);
    for (std::uint32_t i = 0; i < 4; ++i) words[4 * b + i] = block.x[i];
  }
  std::memcpy(halves, words, sizeof words);
}

void apply_cpu(const Tensor& x_tensor, const Tensor& keys, const DropoutOptions& options, Tensor& y_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t views = x_tensor.dim(0), size = views == 0 ? 0 : x_tensor.numel() / views;
    const std::int64_t parts = (size + at_once - 1) / at_once;  // of a view
    const T* x_first = x_tensor.data<T>();
    const std::int32_t* key = keys.data<std::int32_t>();
    const DropoutSource source{options.seed, options.layer};
    const std::uint32_t threshold = dropout_threshold(options.p);
    const T scale = static_cast<T>(dropout_scale(threshold));
    T* y_first = y_tensor.data<T>();
    parallel_for(views * parts, items_a_piece({.flop = 50 * at_once}), [=](std::int64_t begin, std::int64_t end) {
      std::uint16_t halves[at_once];
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t view = item / parts, first = item % parts * at_once;
        draw(source.view(key + 3 * view), first, halves);
        const T* x = x_first + view * size + first;
        T* y = y_first + view * size + first;
        const std::int64_t n = std::min(at_once, size - first);
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) y[i] = dropped_or_kept<T>(x[i], halves[i], threshold, scale);
      }
    });
  });
}

}  // namespace

extern const DropoutKernels dropout_cpu;
const DropoutKernels dropout_cpu = {apply_cpu};

Tensor dropout_apply(const Tensor& x, const Tensor& keys, const DropoutOptions& options) {
  constexpr const char* op = "dropout";
  check_floats(op, x);
  SIMCLR_CHECK(dropout_allows(options.p), op, ": p ", options.p, " is outside 0 .. 1 - 2^-16");
  SIMCLR_CHECK(x.rank() >= 1, op, ": wants views [N,...], got ", describe(x));
  SIMCLR_CHECK(keys.defined(), op,
               ": the input has no keys, by which it draws; give Input(x, lengths, keys) i32 [N,3] of ",
               "(sample, epoch, view), or call eval()");
  SIMCLR_CHECK(keys.dtype() == DType::i32 && keys.device() == x.device() && keys.shape() == Shape({x.dim(0), 3}), op,
               ": keys must be i32 [", x.dim(0), ",3] on ", x.device(), ", got ", describe(keys));
  SIMCLR_CHECK(x.dim(0) == 0 || x.numel() / x.dim(0) <= std::numeric_limits<std::int32_t>::max(), op, ": the views of ",
               x.shape(), " have more elements than can be numbered");
  Tensor y = Tensor::empty_like(x);
  dropout_slot.on(x.device()).apply(x, keys, options, y);
  return y;
}

}  // namespace simclr::kernels
