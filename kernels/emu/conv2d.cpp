// Convolution on the emulated device: the CPU's, as cuDNN would do it. bf16 tensors are widened, convolved in f32 and
// rounded once.
#include <simclr/kernels/conv2d.h>
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/host.h>

namespace simclr::kernels {
namespace {

void forward(const Tensor& x, const Tensor& w, Tensor& y, const Conv2dGeometry& geometry) {
  emu::queue([x = emu::memory_of(x), w = emu::memory_of(w), y = emu::memory_of(y), geometry]() mutable {
    emu::back_to(y, conv2d_forward(emu::on_host(x), emu::on_host(w), geometry));
  });
}

void backward_data(const Tensor& dy, const Tensor& w, Tensor& dx, const Conv2dGeometry& geometry) {
  emu::queue([dy = emu::memory_of(dy), w = emu::memory_of(w), dx = emu::memory_of(dx), geometry]() mutable {
    emu::back_to(dx, conv2d_backward_data(emu::on_host(dy), emu::on_host(w), dx.shape(), geometry));
  });
}

void backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dGeometry& geometry) {
  emu::queue([x = emu::memory_of(x), dy = emu::memory_of(dy), dw = emu::memory_of(dw), geometry]() mutable {
    Tensor gradient = Tensor::empty(dw.shape());
    conv2d_backward_weights(emu::on_host(x), emu::on_host(dy), gradient, geometry);
    emu::back_to(dw, gradient);
  });
}

}  // namespace

extern const Conv2dKernels conv2d_emu;
const Conv2dKernels conv2d_emu = {forward, backward_data, backward_weights};

}  // namespace simclr::kernels
