// Times cosine similarity, forward and backward.
#include "common.h"

#include <simclr/kernels/similarity.h>

namespace kernels = simclr::kernels;
using simclr::Tensor;

int main(int argc, char** argv) {
  bench::Bench bench("Times the similarities of a [M,D] and b [M,D], for every M.");
  std::vector<std::int64_t> sizes;
  std::int64_t d = 128;
  bench.app.add_option("--m", sizes, "Rows of a and of b; as it is: 4096 and 16384 on cuda, 2048 on cpu");
  bench.app.add_option("--d", d, "Dimensions")->check(CLI::Range(1, 1 << 20));
  bench.parse(argc, argv);
  if (sizes.empty()) sizes = bench.by_device<std::vector<std::int64_t>>({4096, 16384}, {2048}, {64});

  for (const std::int64_t m : sizes) {
    const Tensor a = bench.random({m, d}, 1), b = bench.random({m, d}, 2);
    const std::string figures = ", M " + std::to_string(m) + ", D " + std::to_string(d);
    const double square = static_cast<double>(m * m);
    const double bytes = square * static_cast<double>(size_of(simclr::DType::f32)),
                 flop = 2 * square * static_cast<double>(d);
    const double vectors = static_cast<double>(a.bytes() + b.bytes());

    bench.measure("similarity forward" + figures, {vectors + bytes, flop}, [&]() -> bench::Call {
      return [a = a.clone(), b = b.clone(), s = Tensor()]() mutable { s = kernels::similarity_forward(a, b, 0.5); };
    });
    const Tensor ds = bench.random({m, m}, 3).to(simclr::DType::f32);  // as s is
    bench.measure("similarity backward" + figures, {2 * vectors + bytes, 2 * flop}, [&]() -> bench::Call {
      return [a = a.clone(), b = b.clone(), ds = ds.clone(), gradient = kernels::SimilarityGradient()]() mutable {
        gradient = kernels::similarity_backward(ds, a, b, 0.5);
      };
    });
  }
  return bench.exit_code();
}
