// The transpose of a matrix on a GPU: x [R,C] -> y [C,R]. Backward is the same function of dy.
// Launch: a tile of 32 x 32 a block of 256 threads. It goes through shared memory, so that both sides are read and
// written along their rows; a column more there keeps its columns in different banks. Tests:
// tests/device/test_transpose.cpp and tests/test_transpose.cpp, which has the plain loop.
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/transpose.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int transpose_threads = 256, transpose_tile = 32, transpose_lines = transpose_threads / transpose_tile;

template <class T>
__global__ void __launch_bounds__(transpose_threads)
    transpose_kernel(const T* x, std::int64_t rows, std::int64_t columns, T* y) {
  SIMCLR_SHARED(T, values, [transpose_tile][transpose_tile + 1]);
  const std::int64_t across = (columns + transpose_tile - 1) / transpose_tile, tile = blockIdx.x;
  const std::int64_t top = tile / across * transpose_tile, left = tile % across * transpose_tile;
  const int lane = static_cast<int>(threadIdx.x) % transpose_tile,
            line = static_cast<int>(threadIdx.x) / transpose_tile;
  // 1 the tile's rows of x
  for (int r = line; r < transpose_tile; r += transpose_lines) {
    if (top + r < rows && left + lane < columns) values[r][lane] = x[(top + r) * columns + left + lane];
  }
  __syncthreads();
  // 2 its columns, which are rows of y
  for (int c = line; c < transpose_tile; c += transpose_lines) {
    if (left + c < columns && top + lane < rows) y[(left + c) * rows + top + lane] = values[lane][c];
  }
}

void transpose_gpu(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = x.dim(0), columns = x.dim(1);
    const std::int64_t down = (rows + transpose_tile - 1) / transpose_tile;
    const std::int64_t across = (columns + transpose_tile - 1) / transpose_tile;
    launch("transpose_kernel", x.device(), {blocks_for(down * across, 1), transpose_threads}, transpose_kernel<T>,
           x.data<T>(), rows, columns, y.data<T>());
  });
}

}  // namespace

extern const TransposeKernels SIMCLR_KERNELS(transpose);
const TransposeKernels SIMCLR_KERNELS(transpose) = {transpose_gpu};

}  // namespace simclr::kernels
