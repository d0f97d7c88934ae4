// Times functions of single values, of rows and of matrices [R,C], forward and backward: what losses of one's own are
// made of.
#include "common.h"

#include <simclr/kernels/softmax.h>
#include <simclr/kernels/sum_along.h>
#include <simclr/kernels/transpose.h>
#include <simclr/kernels/unary.h>

namespace kernels = simclr::kernels;
using kernels::Unary;
using simclr::Tensor;

namespace {

void measure_unary(bench::Bench& bench, const Tensor& x, const Tensor& dy, const std::string& figures) {
  const auto bytes = static_cast<double>(x.bytes());
  for (const auto& [name, f] : {std::pair{"exp", Unary::exp}, {"sigmoid", Unary::sigmoid}, {"tanh", Unary::tanh}}) {
    bench.measure(name + (" forward" + figures), {.bytes = 2 * bytes}, [&, f = f]() -> bench::Call {
      return [f, x = x.clone(), y = Tensor()]() mutable { y = kernels::unary_forward(f, x); };
    });
    bench.measure(name + (" backward" + figures), {.bytes = 3 * bytes}, [&, f = f]() -> bench::Call {
      return [f, y = x.clone(), dy = dy.clone(), dx = Tensor()]() mutable { dx = kernels::unary_backward(f, dy, y); };
    });
  }
}

void measure_rows(bench::Bench& bench, const Tensor& x, const Tensor& dy, const std::string& figures) {
  const auto bytes = static_cast<double>(x.bytes());
  bench.measure("softmax forward" + figures, {.bytes = 2 * bytes}, [&]() -> bench::Call {
    return [x = x.clone(), y = Tensor()]() mutable { y = kernels::softmax_forward(x); };
  });
  bench.measure("softmax backward" + figures, {.bytes = 3 * bytes}, [&]() -> bench::Call {
    return [y = kernels::softmax_forward(x), dy = dy.clone(), dx = Tensor()]() mutable {
      dx = kernels::softmax_backward(dy, y);
    };
  });
  bench.measure("transpose forward" + figures, {.bytes = 2 * bytes}, [&]() -> bench::Call {
    return [x = x.clone(), y = Tensor()]() mutable { y = kernels::transpose(x); };
  });
  for (const int dim : {0, 1}) {
    bench.measure("sum along " + std::to_string(dim) + " forward" + figures, {.bytes = bytes}, [&]() -> bench::Call {
      return [dim, x = x.clone(), y = Tensor()]() mutable { y = kernels::sum_along(x, dim); };
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times functions of values, rows and matrices [R,C].");
  std::int64_t rows = 0, width = 256;
  bench.app.add_option("--rows", rows, "R; as it is: 32768 on cuda, 8192 on cpu")->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--width", width, "C")->check(CLI::Range(1, 1 << 16));
  bench.parse(argc, argv);
  if (rows == 0) rows = bench.by_device(32768, 8192, 64);

  const Tensor x = bench.random({rows, width}, 1), dy = bench.random({rows, width}, 2);
  const std::string figures = ", " + std::to_string(rows) + "x" + std::to_string(width);
  measure_unary(bench, x, dy, figures);
  measure_rows(bench, x, dy, figures);
  return bench.exit_code();
}
