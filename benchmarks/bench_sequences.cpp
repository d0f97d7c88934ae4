// Times the small ops of sequences, forward and backward: embedding, layer normalisation with the residual addition,
// GELU, dropout, and pooling over time, on activations [N,T,C] of a text encoder.
#include "common.h"
#include "words.h"

#include <simclr/kernels/dropout.h>
#include <simclr/kernels/embedding.h>
#include <simclr/kernels/gelu.h>
#include <simclr/kernels/layernorm.h>
#include <simclr/kernels/time_pool.h>

namespace kernels = simclr::kernels;
using simclr::DType;
using simclr::Tensor;

namespace {

struct Sizes {
  std::int64_t sequences = 0, steps = 32, width = 256, entries = 16384;
};

void measure_embedding(bench::Bench& bench, const Sizes& s, const Tensor& dy, const std::string& figures) {
  const Tensor table = bench.random({s.entries, s.width}, 2).to(DType::f32),
               ids = bench::words({s.sequences, s.steps}, s.entries).to(bench.device);
  const auto bytes = static_cast<double>(dy.bytes()), rows = static_cast<double>(table.bytes());
  const std::string of = figures + ", V " + std::to_string(s.entries);
  bench.measure("embedding forward" + of, {.bytes = 2 * bytes}, [&]() -> bench::Call {
    return [table = table.clone(), ids, dtype = bench.dtype, y = Tensor()]() mutable {
      y = kernels::embedding_forward(table, ids, {}, dtype);
    };
  });
  bench.measure("embedding backward" + of, {.bytes = bytes + rows}, [&]() -> bench::Call {
    return [dy = dy.clone(), ids, dtable = Tensor::empty_like(table)]() mutable {
      kernels::embedding_backward(dy, ids, {}, dtable);
    };
  });
}

void measure_layernorm(bench::Bench& bench, const Tensor& x, const Tensor& dy, const std::string& figures) {
  const Tensor gamma = Tensor::full({x.dim(-1)}, 1, DType::f32, bench.device), beta = Tensor::zeros_like(gamma);
  const auto bytes = static_cast<double>(x.bytes());
  bench.measure("layernorm + add forward" + figures, {.bytes = 4 * bytes}, [&]() -> bench::Call {
    return [=, x = x.clone(), r = dy.clone(), result = kernels::LayernormResult()]() mutable {
      result = kernels::layernorm_forward(x, r, gamma, beta, 1e-5);
    };
  });
  bench.measure("layernorm + add backward" + figures, {.bytes = 4 * bytes}, [&]() -> bench::Call {
    const auto forward = kernels::layernorm_forward(x, dy, gamma, beta, 1e-5);
    return [=, dy = dy.clone(), ds = dy.clone(), saved = forward.saved, dgamma = Tensor::empty_like(gamma),
            dbeta = Tensor::empty_like(beta),
            dx = Tensor()]() mutable { dx = kernels::layernorm_backward(dy, ds, saved, gamma, dgamma, dbeta); };
  });
}

void measure_elementwise(bench::Bench& bench, const Tensor& x, const Tensor& dy, const std::string& figures) {
  const auto bytes = static_cast<double>(x.bytes());
  bench.measure("gelu forward" + figures, {.bytes = 2 * bytes}, [&]() -> bench::Call {
    return [x = x.clone(), y = Tensor()]() mutable { y = kernels::gelu_forward(x); };
  });
  bench.measure("gelu backward" + figures, {.bytes = 3 * bytes}, [&]() -> bench::Call {
    return [x = x.clone(), dy = dy.clone(), dx = Tensor()]() mutable { dx = kernels::gelu_backward(dy, x); };
  });
  std::vector<std::int32_t> key(static_cast<std::size_t>(3 * x.dim(0)));
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::int32_t>(i);
  const Tensor keys = Tensor::from(key, {x.dim(0), 3}).to(bench.device);
  bench.measure("dropout forward" + figures, {.bytes = 2 * bytes}, [&]() -> bench::Call {
    return [x = x.clone(), keys, y = Tensor()]() mutable { y = kernels::dropout_apply(x, keys, {.p = 0.1}); };
  });
}

void measure_time_pool(bench::Bench& bench, const Tensor& x, const std::string& figures) {
  const auto bytes = static_cast<double>(x.bytes());
  bench.measure("mean over time forward" + figures, {.bytes = bytes}, [&]() -> bench::Call {
    return [x = x.clone(), y = Tensor()]() mutable { y = kernels::mean_over_time_forward(x, {}); };
  });
  bench.measure("max over time forward" + figures, {.bytes = bytes}, [&]() -> bench::Call {
    return [x = x.clone(), result = kernels::MaxOverTimeResult()]() mutable {
      result = kernels::max_over_time_forward(x, {});
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times the small ops of sequences [N,T,C].");
  Sizes s;
  const auto positive = CLI::Range(1, 1 << 20);
  bench.app.add_option("--sequences", s.sequences, "Sequences a batch; as it is: 1024 on cuda, 256 on cpu")
      ->check(positive);
  bench.app.add_option("--steps", s.steps, "Steps of a sequence")->check(positive);
  bench.app.add_option("--width", s.width, "Channels")->check(positive);
  bench.app.add_option("--entries", s.entries, "Rows of the embedding's table")->check(positive);
  bench.parse(argc, argv);
  if (s.sequences == 0) s.sequences = bench.by_device(1024, 256, 4);

  const simclr::Shape shape{s.sequences, s.steps, s.width};
  const Tensor x = bench.random(shape, 3), dy = bench.random(shape, 4);
  const std::string figures =
      ", " + std::to_string(s.sequences) + "x" + std::to_string(s.steps) + "x" + std::to_string(s.width);
  measure_embedding(bench, s, dy, figures);
  measure_layernorm(bench, x, dy, figures);
  measure_elementwise(bench, x, dy, figures);
  measure_time_pool(bench, x, figures);
  return bench.exit_code();
}
