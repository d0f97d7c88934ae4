// Convolution as a matrix product. A patch is the K*L*C values under the kernel at one output position; the
// patches of some positions are the rows of a matrix [positions, K*L*C], and with W [O, K*L*C]:
//   y = patches W^T      dpatches = dy W      dw = dy^T patches
// Positions are taken tile by tile, so memory does not grow with the batch. Tiles depend on the sizes alone, and sums
// run over them in order: the results do not depend on the thread count.
#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/conv2d.h>
#include <simclr/kernels/cpu/matrix.h>
#include <simclr/kernels/shared/check.h>

#include <algorithm>

namespace simclr::kernels {
namespace {

std::int64_t patch_size(const Conv2dSizes& s) {
  return s.k * s.l * s.c;
}

/// Patches are x's rows as they lie: nothing to gather.
bool is_pointwise(const Conv2dSizes& s) {
  return s.k == 1 && s.l == 1 && s.stride == 1 && s.padding == 0;
}

/// Positions a tile: patches of about `bytes`, but enough of them to be worth packing the weights for.
template <class T>
std::int64_t tile_rows(const Conv2dSizes& s, std::int64_t bytes, std::int64_t total) {
  const std::int64_t rows = bytes / (patch_size(s) * static_cast<std::int64_t>(sizeof(T)));
  return std::min(std::clamp<std::int64_t>(rows, 128, 4096), total);
}

/// Calls body(line, skip, image, length) for each row u of the kernel at positions [begin, begin + count). `line` is
/// the offset of its L*C values in the tile's matrix. Those within x are one run, as they are neighbours there:
/// `length` values from x's offset `image`, after `skip` values of padding.
template <class Body>
void for_each_run(const Conv2dSizes& s, std::int64_t begin, std::int64_t count, Body&& body) {
  for (std::int64_t row = 0; row < count; ++row) {
    const std::int64_t position = begin + row;
    const std::int64_t left = position % s.q * s.stride.width - s.padding.width;
    const std::int64_t top = position / s.q % s.p * s.stride.height - s.padding.height;
    const std::int64_t image = position / (s.q * s.p);
    const std::int64_t v0 = std::clamp<std::int64_t>(-left, 0, s.l), v1 = std::clamp<std::int64_t>(s.w - left, v0, s.l);
    for (std::int64_t u = 0; u < s.k; ++u) {
      const std::int64_t i = top + u;
      const bool inside = i >= 0 && i < s.h && v1 > v0;
      const std::int64_t line = (row * s.k + u) * s.l * s.c;
      body(line, inside ? v0 * s.c : s.l * s.c, inside ? ((image * s.h + i) * s.w + left + v0) * s.c : 0,
           inside ? (v1 - v0) * s.c : 0);
    }
  }
}

template <class T>
void gather(const Conv2dSizes& s, const T* x, std::int64_t begin, std::int64_t count, T* patches) {
  const std::int64_t width = s.l * s.c;
  for_each_run(s, begin, count, [=](std::int64_t line, std::int64_t skip, std::int64_t from, std::int64_t length) {
    T* out = patches + line;
    std::fill(out, out + skip, T{0});
    std::copy(x + from, x + from + length, out + skip);
    std::fill(out + skip + length, out + width, T{0});
  });
}

template <class T>
void scatter_add(const Conv2dSizes& s, const T* patches, std::int64_t begin, std::int64_t count, T* dx) {
  for_each_run(s, begin, count, [=](std::int64_t line, std::int64_t skip, std::int64_t to, std::int64_t length) {
    const T* in = patches + line + skip;
    T* out = dx + to;
    for (std::int64_t e = 0; e < length; ++e) out[e] += in[e];
  });
}

template <class T>
void forward(const Conv2dSizes& s, const T* x, const T* w, T* y) {
  const std::int64_t total = s.n * s.p * s.q, size = patch_size(s);
  const std::int64_t tile = tile_rows<T>(s, 1 << 20, total);
  PerThread<Tensor> buffers;
  parallel_for(total, tile, [&](std::int64_t begin, std::int64_t end, int thread) {
    const T* patches = x + begin * size;
    if (!is_pointwise(s)) {
      Tensor& buffer = buffers.get(thread, [&] { return Tensor::empty({tile * size}, dtype_of<T>); });
      gather(s, x, begin, end - begin, buffer.data<T>());
      patches = buffer.data<T>();
    }
    multiply<T>({patches, size}, {w, size, true}, {y + begin * s.o, s.o}, end - begin, s.o, size);
  });
}

template <class T>
void backward_data(const Conv2dSizes& s, const T* dy, const T* w, T* dx) {
  const std::int64_t positions = s.p * s.q, size = patch_size(s), image_size = s.h * s.w * s.c;
  // By groups of images: the patches of one image overlap, those of two do not.
  const std::int64_t group = std::clamp<std::int64_t>(128 / positions, 1, s.n);
  const std::int64_t tile = tile_rows<T>(s, 1 << 20, group * positions);
  PerThread<Tensor> buffers;
  parallel_for(s.n, group, [&](std::int64_t first, std::int64_t last, int thread) {
    Tensor& buffer = buffers.get(thread, [&] { return Tensor::empty({tile * size}, dtype_of<T>); });
    std::fill(dx + first * image_size, dx + last * image_size, T{0});
    for (std::int64_t begin = first * positions; begin < last * positions; begin += tile) {
      const std::int64_t count = std::min(tile, last * positions - begin);
      multiply<T>({dy + begin * s.o, s.o}, {w, size}, {buffer.data<T>(), size}, count, size, s.o);
      scatter_add(s, buffer.data<T>(), begin, count, dx);
    }
  });
}

template <class T>
void backward_weights(const Conv2dSizes& s, const T* x, const T* dy, T* dw) {
  const std::int64_t total = s.n * s.p * s.q, size = patch_size(s);
  const std::int64_t tile = tile_rows<T>(s, 4 << 20, total);
  Tensor buffer = Tensor::empty({is_pointwise(s) ? 0 : tile * size}, dtype_of<T>);
  for (std::int64_t begin = 0; begin < total; begin += tile) {
    const std::int64_t count = std::min(tile, total - begin);
    const T* patches = x + begin * size;
    if (!is_pointwise(s)) {
      T* gathered = buffer.data<T>();
      parallel_for(count, 64, [&](std::int64_t first, std::int64_t last) {
        gather(s, x, begin + first, last - first, gathered + first * size);
      });
      patches = gathered;
    }
    parallel_for(size, 64, [&](std::int64_t first, std::int64_t last) {
      multiply<T>({dy + begin * s.o, s.o, true}, {patches + first, size}, {dw + first, size}, s.o, last - first, count,
                  T{1}, begin == 0 ? T{0} : T{1});
    });
  }
}

void forward_im2col(const Tensor& x, const Tensor& w, Tensor& y, const Conv2dGeometry& geometry) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    forward(Conv2dSizes(x.shape(), w.shape(), geometry), x.data<const T>(), w.data<const T>(), y.data<T>());
  });
}

void backward_data_im2col(const Tensor& dy, const Tensor& w, Tensor& dx, const Conv2dGeometry& geometry) {
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    backward_data(Conv2dSizes(dx.shape(), w.shape(), geometry), dy.data<const T>(), w.data<const T>(), dx.data<T>());
  });
}

void backward_weights_im2col(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dGeometry& geometry) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    backward_weights(Conv2dSizes(x.shape(), dw.shape(), geometry), x.data<const T>(), dy.data<const T>(), dw.data<T>());
  });
}

}  // namespace

const Conv2dKernels conv2d_im2col = {forward_im2col, backward_data_im2col, backward_weights_im2col};

}  // namespace simclr::kernels
