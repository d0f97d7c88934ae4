#include "support/device.h"

#include <simclr/kernels/columns.h>

using namespace simclr;
using test::random_both;

DEVICE_TEST_CASE("columns are copied on the device, and no others") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t rows : test::edge_sizes) {
      for (const auto& [from_begin, to_begin, count] :
           {std::array<std::int64_t, 3>{0, 8, 16}, {8, 0, 8}, {3, 2, 5}, {0, 0, 24}, {1, 8, 16}, {5, 5, 0}}) {
        CAPTURE(dtype, rows, from_begin, to_begin, count);
        const auto from = random_both({rows, 24}, 1, dtype), to = random_both({rows, 32}, 2, dtype);
        Tensor got = to.on_device.clone(), exact = to.exact.clone();
        kernels::copy_columns(from.on_device, from_begin, got, to_begin, count);
        kernels::copy_columns(from.exact, from_begin, exact, to_begin, count);
        CHECK(got.to_vector<double>() == exact.to_vector<double>());
      }
    }
  }
}
