#include "support/device.h"

#include <simclr/kernels/transpose.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using test::random_both;
using test::same_bits;

DEVICE_TEST_CASE("matrices are transposed on the device, and their diagonals copied, forward and backward") {
  const auto check = [](std::int64_t rows, std::int64_t columns, DType dtype) {
    CAPTURE(dtype, rows, columns);
    const test::Both x = random_both({rows, columns}, 1, dtype);
    // Values are copied, so that they are the same to the bit.
    CHECK(same_bits(kernels::transpose(x.on_device).to(Device{}), kernels::transpose(x.exact).to(dtype)));
    const auto gradient = [&](Tensor leaf) {
      leaf.set_requires_grad();
      const Tensor y = nn::diagonal(leaf);
      y.backward(y.detach());
      return leaf.grad().to(Device{}).to(dtype);
    };
    CHECK(same_bits(nn::diagonal(x.on_device).detach().to(Device{}), nn::diagonal(x.exact).detach().to(dtype)));
    CHECK(same_bits(gradient(x.on_device), gradient(x.exact)));
  };
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t n : test::edge_sizes) {
      for (const std::int64_t other : {1, 31, 33, 64}) check(n, other, dtype), check(other, n, dtype);
    }
    check(129, 127, dtype);
  }
}
