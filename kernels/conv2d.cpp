// conv2d: checks, and the CPU's choice between Winograd's way, oneDNN and im2col.
#include <simclr/kernels/cpu/conv2d.h>
#include <simclr/kernels/shared/check.h>

#include <ostream>

namespace simclr::kernels {
namespace {

void check_geometry(const Conv2dGeometry& geometry) {
  const auto& [stride, padding] = geometry;
  SIMCLR_CHECK(stride.height >= 1 && stride.width >= 1, "conv2d: stride is ", stride, ", at least 1 is needed");
  SIMCLR_CHECK(padding.height >= 0 && padding.width >= 0, "conv2d: padding is ", padding, ", at least 0 is needed");
}

/// Tries the fast ways, Winograd's first.
bool fast(Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out, const Conv2dSizes& sizes) {
  if (winograd::run(direction, a, b, out, sizes)) return true;
#ifdef SIMCLR_HAVE_ONEDNN
  if (out.dtype() == DType::f32 && onednn::run(direction, a, b, out, sizes)) return true;
#endif
  return false;
}

void forward_on_cpu(const Tensor& x, const Tensor& w, Tensor& y, const Conv2dGeometry& geometry) {
  if (fast(Conv2dDirection::forward, x, w, y, Conv2dSizes(x.shape(), w.shape(), geometry))) return;
  conv2d_im2col.forward(x, w, y, geometry);
}

void backward_data_on_cpu(const Tensor& dy, const Tensor& w, Tensor& dx, const Conv2dGeometry& geometry) {
  if (fast(Conv2dDirection::backward_data, dy, w, dx, Conv2dSizes(dx.shape(), w.shape(), geometry))) return;
  conv2d_im2col.backward_data(dy, w, dx, geometry);
}

void backward_weights_on_cpu(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dGeometry& geometry) {
  if (fast(Conv2dDirection::backward_weights, x, dy, dw, Conv2dSizes(x.shape(), dw.shape(), geometry))) return;
  conv2d_im2col.backward_weights(x, dy, dw, geometry);
}

}  // namespace

extern const Conv2dKernels conv2d_cpu;
const Conv2dKernels conv2d_cpu = {forward_on_cpu, backward_data_on_cpu, backward_weights_on_cpu};

std::ostream& operator<<(std::ostream& out, const PerAxis& axes) {
  out << axes.height;
  if (axes.width != axes.height) out << " x " << axes.width;
  return out;
}

Shape conv2d_output_shape(const Shape& x, const Shape& w, const Conv2dGeometry& geometry) {
  check_geometry(geometry);
  SIMCLR_CHECK(x.rank() == 4 && x.numel() > 0, "conv2d: x must be [N,H,W,C] and not empty, got ", x);
  SIMCLR_CHECK(w.rank() == 4 && w.numel() > 0, "conv2d: w must be [O,K,L,C] and not empty, got ", w);
  SIMCLR_CHECK(
      x[3] == w[3], "conv2d: x ", x, " has ", x[3], " channels and w ", w, " wants ", w[3],
      w[1] == x[3] ? "; w looks like [O,C,K,L], and this library's filters are [O,K,L,C]" : layout_hint(x, w[3]));
  const std::int64_t height = x[1] + 2 * std::int64_t{geometry.padding.height};
  const std::int64_t width = x[2] + 2 * std::int64_t{geometry.padding.width};
  SIMCLR_CHECK(height >= w[1] && width >= w[2], "conv2d: x ", x, " with padding ", geometry.padding,
               " is smaller than the kernel of w ", w);
  return {x[0], (height - w[1]) / geometry.stride.height + 1, (width - w[2]) / geometry.stride.width + 1, w[0]};
}

Tensor conv2d_forward(const Tensor& x, const Tensor& w, const Conv2dGeometry& geometry) {
  check_floats("conv2d_forward", x, w);
  Tensor y = Tensor::empty(conv2d_output_shape(x.shape(), w.shape(), geometry), x.dtype(), x.device());
  conv2d_slot.on(x.device()).forward(x, w, y, geometry);
  return y;
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dGeometry& geometry) {
  check_floats("conv2d_backward_data", dy, w);
  check_shape("conv2d_backward_data", "dy", dy, conv2d_output_shape(x_shape, w.shape(), geometry));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  conv2d_slot.on(dy.device()).backward_data(dy, w, dx, geometry);
  return dx;
}

void conv2d_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dGeometry& geometry) {
  check_floats("conv2d_backward_weights", x, dy);
  check_parameters("conv2d_backward_weights", x, dw);
  check_shape("conv2d_backward_weights", "dy", dy, conv2d_output_shape(x.shape(), dw.shape(), geometry));
  conv2d_slot.on(x.device()).backward_weights(x, dy, dw, geometry);
}

std::string conv2d_implementation(const Shape& x, const Shape& w, const Conv2dGeometry& geometry,
                                  Conv2dDirection direction) {
  conv2d_output_shape(x, w, geometry);  // checks
  const Conv2dSizes sizes(x, w, geometry);
  std::string name = winograd::implementation(sizes, direction, DType::f32);
#ifdef SIMCLR_HAVE_ONEDNN
  if (name.empty()) name = onednn::implementation(sizes, direction);
#endif
  if (!name.empty()) return name;
  return "im2col";
}

}  // namespace simclr::kernels
