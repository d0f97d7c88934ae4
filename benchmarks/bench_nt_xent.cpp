// Times NT-Xent, forward, backward and both, and says how much memory both take.
#include "common.h"

#include <simclr/kernels/nt_xent.h>

#include <cstdio>

namespace kernels = simclr::kernels;
using simclr::Tensor;

int main(int argc, char** argv) {
  bench::Bench bench("Times NT-Xent over z [M,D], every combination of M, D and tau.");
  std::vector<std::int64_t> sizes, widths = {128};
  std::vector<double> temperatures = {0.5};
  bool wgmma = false;
  bench.app.add_option("--m", sizes, "Views, 2N; as it is: 1024 to 131072 on cuda, 2048 and 8192 on cpu");
  bench.app.add_option("--d", widths, "Dimensions of z");
  bench.app.add_option("--tau", temperatures, "Temperatures");
  bench.app.add_flag("--wgmma", wgmma, "By the tiles for Hopper's tensor cores, which must be asked for");
  bench.parse(argc, argv);
  if (sizes.empty()) {
    sizes = bench.by_device<std::vector<std::int64_t>>({1024, 4096, 8192, 32768, 65536, 131072}, {2048, 8192}, {64});
  }

  for (const double tau : temperatures) {
    for (const std::int64_t d : widths) {
      for (const std::int64_t m : sizes) {
        char figures[64];
        std::snprintf(figures, sizeof figures, ", M %lld, D %lld, tau %g", static_cast<long long>(m),
                      static_cast<long long>(d), tau);
        const Tensor z = bench.random({m, d}, 1);
        // Each pair once forward; backward recomputes the similarities and has one more product, all of the square.
        const double square = static_cast<double>(m) * static_cast<double>(m) * static_cast<double>(d);
        const bench::Cost forward_cost{.flop = square, .exps = square / static_cast<double>(2 * d)};
        const bench::Cost backward_cost{.flop = 4 * square, .exps = square / static_cast<double>(d)};
        const bench::Cost both_cost{.flop = forward_cost.flop + backward_cost.flop,
                                    .exps = forward_cost.exps + backward_cost.exps};

        bench.measure(std::string("nt_xent forward") + figures, forward_cost, [&]() -> bench::Call {
          return [z = z.clone(), tau, wgmma, result = kernels::NtXentResult()]() mutable {
            result = kernels::nt_xent_forward(z, z, tau, {}, wgmma);
          };
        });
        bench.measure(std::string("nt_xent backward") + figures, backward_cost, [&]() -> bench::Call {
          const Tensor own = z.clone();
          const kernels::NtXentResult forward = kernels::nt_xent_forward(own, own, tau, {}, wgmma);
          const Tensor dloss = Tensor::full({}, 1.0, forward.loss.dtype(), bench.device);
          return [saved = forward.saved, dloss, gradient = kernels::NtXentGradient()]() mutable {
            gradient = kernels::nt_xent_backward(saved, dloss);
          };
        });
        const auto both = [&]() -> bench::Call {
          return [z = z.clone(), tau, wgmma, gradient = kernels::NtXentGradient()]() mutable {
            const kernels::NtXentResult forward = kernels::nt_xent_forward(z, z, tau, {}, wgmma);
            const Tensor dloss = Tensor::full({}, 1.0, forward.loss.dtype(), z.device());
            gradient = kernels::nt_xent_backward(forward.saved, dloss);
          };
        };
        bench.measure(std::string("nt_xent forward + backward") + figures, both_cost, both, [&](const bench::Times&) {
          return bench::Json{{"peak_bytes", bench.peak_bytes(both())}};
        });
      }
    }
  }
  return bench.exit_code();
}
