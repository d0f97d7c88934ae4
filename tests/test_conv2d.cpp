#include <simclr/kernels/conv2d_cpu.h>

#include "support/catch.h"
#include "support/tensors.h"

using namespace simclr;
using namespace simclr::test;
using namespace simclr::kernels;

TEST_CASE("smoke") {
  const Tensor x = random_tensor({2, 8, 8, 64}, 1, DType::f32), w = random_tensor({64, 3, 3, 64}, 2, DType::f32);
  const Conv2dGeometry g{1, 1};
  const Tensor y = conv2d_forward(x, w, g);
  Tensor y2 = Tensor::empty_like(y);
  conv2d_im2col.forward(x, w, y2, g);
  CHECK(relative_error(y, y2) < 1e-5);
  const Tensor dx = conv2d_backward_data(y, w, x.shape(), g);
  Tensor dx2 = Tensor::empty_like(dx);
  conv2d_im2col.backward_data(y, w, dx2, g);
  CHECK(relative_error(dx, dx2) < 1e-5);
  Tensor dw = Tensor::empty_like(w), dw2 = Tensor::empty_like(w);
  conv2d_backward_weights(x, y, dw, g);
  conv2d_im2col.backward_weights(x, y, dw2, g);
  CHECK(relative_error(dw, dw2) < 1e-5);
  WARN(conv2d_implementation(x.shape(), w.shape(), g, Conv2dDirection::forward));
}
