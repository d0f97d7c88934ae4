// kNN with the similarities from the device, beside the CPU's.
#include "support/device.h"

#include <simclr/nn/evaluate.h>

using namespace simclr;

DEVICE_TEST_CASE("kNN scores are the CPU's") {
#ifdef SIMCLR_EMU_CHECKS
  test::device();
  emu::set_checks(emu::Checks::once);
#endif
  nn::Features train{test::random_tensor({300, 33}, 1, DType::f32), {}};
  for (std::int32_t i = 0; i < 300; ++i) train.labels.push_back(i % 7);
  train.values.narrow(5, 1).fill(0);
  const Tensor queries = test::random_tensor({140, 33}, 2, DType::f32);
  const Tensor expected = nn::knn_scores(train, queries, 7, {.k = 40});
  const Tensor scores = nn::knn_scores(train, queries, 7, {.k = 40, .device = test::device()});
  // A similarity's last bit moves a vote by 1e-7 / temperature; two neighbours of equal similarity may change places.
  CHECK(test::relative_error(scores, expected) < 2e-5);
}
