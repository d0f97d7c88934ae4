// Times log-mel spectrograms of a batch of waveforms: full ones, and lengths spread evenly over half a length to a
// whole one, as recordings have them. Waveforms are f32 on every device.
#include "common.h"

#include <simclr/kernels/logmel.h>

#include <cmath>
#include <cstdio>

namespace kernels = simclr::kernels;
using simclr::Tensor;

namespace {

void measure_all(bench::Bench& bench, std::int64_t sequences, std::int64_t samples,
                 const kernels::LogmelOptions& options) {
  const kernels::LogmelPlan plan = kernels::logmel_plan(options, bench.device);
  const Tensor x = bench.random({sequences, samples}, 1).to(simclr::DType::f32);
  for (const bool full : {true, false}) {
    std::vector<std::int32_t> length(static_cast<std::size_t>(sequences));
    double own = 0, frames = 0;
    for (std::int64_t i = 0; i < sequences; ++i) {
      const std::int64_t own_samples = full ? samples : samples - i * 7919 % (samples / 2 + 1);
      length[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(own_samples);
      own += static_cast<double>(own_samples);
      frames += static_cast<double>(kernels::logmel_frames(own_samples, options));
    }
    const Tensor lengths = full ? Tensor() : Tensor::from(length, {sequences}).to(bench.device);
    const auto fft = static_cast<double>(options.fft);
    const double values = static_cast<double>(sequences * kernels::logmel_frames(samples, options) * options.mels);
    // A real FFT, the powers, and a bin in two mels.
    const bench::Cost cost = {.bytes = 4 * (own + values), .flop = frames * fft * (2.5 * std::log2(fft) + 1.5 + 2)};
    bench.measure("logmel, " + std::to_string(sequences) + "x" + std::to_string(samples) + " by " +
                      std::to_string(options.fft) + ", " + std::to_string(options.mels) + " mels" +
                      (full ? "" : ", lengths from half on"),
                  cost, [&]() -> bench::Call {
                    return [x = x.clone(), lengths, plan, result = kernels::LogmelResult()]() mutable {
                      result = kernels::logmel(x, lengths, plan);
                    };
                  });
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times log-mel spectrograms.");
  std::int64_t sequences = 0, samples = 16000;
  kernels::LogmelOptions options;
  bench.app.add_option("--sequences", sequences, "Waveforms a batch; as it is: 1024 on cuda, 64 on cpu")
      ->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--samples", samples, "Of a waveform")->check(CLI::Range(1, 1 << 24));
  bench.app.add_option("--fft", options.fft, "Samples of the FFT");
  bench.app.add_option("--window", options.window, "Samples of the window");
  bench.app.add_option("--hop", options.hop, "Samples from frame to frame");
  bench.app.add_option("--mels", options.mels, "Mels");
  bench.parse(argc, argv);
  if (sequences == 0) sequences = bench.by_device(1024, 64, 2);

  try {
    measure_all(bench, sequences, samples, options);
  } catch (const simclr::Error& error) {  // options that no plan is made of
    std::fprintf(stderr, "bench_logmel: %s\n", error.what());
    return 2;
  }
  return bench.exit_code();
}
