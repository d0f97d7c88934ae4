// Times self-attention, forward and backward, at full lengths and at lengths spread evenly over 1..T, as texts have
// them, and a transformer's whole pass over the same: linear layers, normalisation and GELU included. With --long
// instead attention of long sequences alone, forward and backward, and the memory that it takes.
#include "common.h"

#include <simclr/kernels/attention.h>
#include <simclr/nn/transformer.h>

namespace kernels = simclr::kernels;
namespace nn = simclr::nn;
using simclr::Shape;
using simclr::Tensor;

namespace {

struct Sizes {
  std::int64_t sequences = 0, steps = 128, heads = 4, width = 64;  // of a head
  int layers = 2;

  std::int64_t channels() const { return heads * width; }
  std::string figures(bool full) const {
    return ", " + std::to_string(sequences) + "x" + std::to_string(steps) + ", " + std::to_string(heads) +
           " heads of " + std::to_string(width) + (full ? "" : ", lengths 1 to " + std::to_string(steps));
  }
};

void measure_op(bench::Bench& bench, const Sizes& s, const Tensor& lengths, const std::string& figures,
                double squares) {
  const Tensor qkv = bench.random({s.sequences, s.steps, 3 * s.channels()}, 1),
               dy = bench.random({s.sequences, s.steps, s.channels()}, 2);
  const double products = 2 * squares * static_cast<double>(s.channels());  // of one product of T x T and D, all heads
  const double exps = squares * static_cast<double>(s.heads);
  bench.measure("attention forward" + figures, {.flop = 2 * products, .exps = exps}, [&]() -> bench::Call {
    return [=, qkv = qkv.clone(), result = kernels::AttentionResult()]() mutable {
      result = kernels::attention_forward(qkv, lengths, s.heads);
    };
  });
  bench.measure("attention backward" + figures, {.flop = 5 * products, .exps = exps}, [&]() -> bench::Call {
    return [dy = dy.clone(), saved = kernels::attention_forward(qkv.clone(), lengths, s.heads).saved,
            dqkv = Tensor()]() mutable { dqkv = kernels::attention_backward(dy, saved); };
  });
}

void measure_encoder(bench::Bench& bench, const Sizes& s, const Tensor& lengths, const std::string& figures,
                     double squares, double own) {
  const auto encoder = std::make_shared<nn::TransformerEncoder>(
      nn::TransformerOptions{.width = s.channels(), .layers = s.layers, .heads = s.heads, .positions = s.steps});
  encoder->initialize(1);
  encoder->to(bench.device);
  const auto channels = static_cast<double>(s.channels());
  const double flop = s.layers * (own * 24 * channels * channels + 4 * squares * channels);
  const double exps = 2.0 * s.layers * squares * static_cast<double>(s.heads);
  bench.measure("transformer forward + backward" + figures, {.flop = 3 * flop, .exps = exps}, [&]() -> bench::Call {
    return [=, x = bench.random({s.sequences, s.steps, s.channels()}, 3),
            dy = bench.random({s.sequences, s.channels()}, 4)] {
      for (nn::Parameter& p : encoder->parameters()) p.value.zero_grad();
      (*encoder)({x, lengths}).backward(dy);
    };
  });
}

/// What is measured beyond qkv and the result's gradient is the output, what is saved, the gradient and scratch.
void measure_long(bench::Bench& bench, Sizes s, const std::vector<std::int64_t>& lengths) {
  for (const std::int64_t steps : lengths) {
    s.steps = steps;
    const auto squares = static_cast<double>(s.sequences * steps * steps);
    const double products = 2 * squares * static_cast<double>(s.channels());
    const auto make = [&]() -> bench::Call {
      return [qkv = bench.random({s.sequences, steps, 3 * s.channels()}, 1),
              dy = bench.random({s.sequences, steps, s.channels()}, 2),
              heads = s.heads] { kernels::attention_backward(dy, kernels::attention_forward(qkv, {}, heads).saved); };
    };
    bench.measure("attention forward + backward" + s.figures(true),
                  {.flop = 7 * products, .exps = 2 * squares * static_cast<double>(s.heads)}, make,
                  [&](const bench::Times&) {
                    return bench::Json{{"peak_bytes", bench.peak_bytes(make())}};
                  });
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times self-attention and a transformer, forward and backward.");
  Sizes s;
  bench.app.add_option("--sequences", s.sequences, "Sequences a batch; as it is: 256 on cuda, 16 on cpu")
      ->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--steps", s.steps, "Steps of a sequence")->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--heads", s.heads, "Heads")->check(CLI::Range(1, 1 << 10));
  bench.app.add_option("--width", s.width, "Values of a head")->check(CLI::Range(1, 256));
  bench.app.add_option("--layers", s.layers, "Layers of the transformer")->check(CLI::Range(1, 1 << 10));
  std::vector<std::int64_t> lengths_of_long;
  bench.app.add_option("--long", lengths_of_long, "Steps of long sequences, which alone are measured")
      ->check(CLI::Range(1, 1 << 20));
  bench.parse(argc, argv);
  if (!lengths_of_long.empty()) {
    if (s.sequences == 0) s.sequences = 1;
    measure_long(bench, s, lengths_of_long);
    return bench.exit_code();
  }
  if (s.sequences == 0) s.sequences = bench.by_device(256, 16, 2);

  for (const bool full : {true, false}) {
    std::vector<std::int32_t> length(static_cast<std::size_t>(s.sequences));
    double own = 0, squares = 0;  // steps, and pairs of them
    for (std::int64_t i = 0; i < s.sequences; ++i) {
      const std::int64_t steps = full ? s.steps : 1 + i * 7919 % s.steps;
      length[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(steps);
      own += static_cast<double>(steps), squares += static_cast<double>(steps * steps);
    }
    const Tensor lengths = full ? Tensor() : Tensor::from(length, {s.sequences}).to(bench.device);
    measure_op(bench, s, lengths, s.figures(full), squares);
    measure_encoder(bench, s, lengths, s.figures(full), squares, own);
  }
  return bench.exit_code();
}
