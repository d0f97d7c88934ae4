#include "support/device.h"

#include <simclr/kernels/transpose.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using test::random_both;

DEVICE_TEST_CASE("matrices are transposed on the device, and their diagonals copied, forward and backward") {
  const auto check = [](std::int64_t rows, std::int64_t columns, DType dtype) {
    CAPTURE(dtype, rows, columns);
    const test::Both x = random_both({rows, columns}, 1, dtype);
    CHECK(kernels::transpose(x.on_device).to_vector<double>() == kernels::transpose(x.exact).to_vector<double>());
    // Values are copied, so that they are the same to the bit.
    const auto gradient = [](Tensor leaf) {
      leaf.set_requires_grad();
      const Tensor y = nn::diagonal(leaf);
      y.backward(y.detach());
      return leaf.grad().to_vector<double>();
    };
    CHECK(nn::diagonal(x.on_device).to_vector<double>() == nn::diagonal(x.exact).to_vector<double>());
    CHECK(gradient(x.on_device) == gradient(x.exact));
  };
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t n : test::edge_sizes) {
      for (const std::int64_t other : {1, 31, 33, 64}) check(n, other, dtype), check(other, n, dtype);
    }
    check(129, 127, dtype);
  }
}
