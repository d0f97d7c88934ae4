// Columns on a GPU: to[r, to_begin + c] = from[r, from_begin + c], c < count, for rows [R,C] and [R,D].
// Launch: one pass over what is copied, 16 bytes a thread where both sides' columns allow it (cuda/map.h). Tests:
// tests/device/test_columns.cpp and tests/test_columns.cpp.
#include <simclr/kernels/columns.h>
#include <simclr/kernels/cuda/map.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

template <class T>
struct Copy {
  const T* from;  // the first column to copy
  T* to;
  std::int64_t from_width, to_width, count;
  template <int N>
  __device__ void at(std::int64_t i) const {
    const std::int64_t row = i / count, c = i - row * count;  // N columns of one row: count is a multiple of N
    store<N>(to + row * to_width + c, load<N>(from + row * from_width + c));
  }
};

void copy_gpu(const Tensor& from, std::int64_t from_begin, Tensor& to, std::int64_t to_begin, std::int64_t count) {
  dispatch_float(from.dtype(), [&](auto zero) {
    using T = decltype(zero);
    constexpr int N = vector_width<T>;
    const Copy<T> f{from.data<T>() + from_begin, to.data<T>() + to_begin, from.dim(-1), to.dim(-1), count};
    const bool vectors = f.from_width % N == 0 && f.to_width % N == 0 && count % N == 0 && aligned16(f.from, f.to);
    map<N>(to.device(), from.numel() / f.from_width * count, vectors, f);
  });
}

}  // namespace

extern const ColumnsKernels SIMCLR_KERNELS(columns);
const ColumnsKernels SIMCLR_KERNELS(columns) = {copy_gpu};

}  // namespace simclr::kernels
