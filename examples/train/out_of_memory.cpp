#include "train/out_of_memory.h"

#include "run/host.h"
#include "run/progress.h"
#include "train/training_step.h"

#include <bit>

using simclr::Tensor;

namespace {

/// The most bytes in use while steps run as the run's would, captured or not; 0 where they do not fit.
double peak_of_steps(Training& t) {
  auto& allocator = simclr::Context::of(t.compute.device).allocator();
  t.optimizer->zero_grad();
  allocator.trim();
  allocator.reset_peak();
  try {
    TrainingStep step(t.compute.device, t.options.graph, [&t] {
      const Tensor loss = t.loss();
      loss.backward();
      t.optimizer->zero_grad();
      return loss;
    });
    const bool captures = t.options.graph && t.compute.device.type != simclr::DeviceType::cpu;
    for (int i = 0; i < (captures ? TrainingStep::eager_steps + 1 : 1); ++i) step.run();
    step.take_losses();
  } catch (const simclr::OutOfMemory&) {
    return 0;
  }
  return static_cast<double>(allocator.stats().peak);
}

}  // namespace

std::string Fitting::remedy(const std::string& smaller) const {
  if (samples == 0) {
    return (smaller.empty() ? "a smaller model" : "a smaller " + smaller) + ": not even --micro-batch 2 fits";
  }
  return "--micro-batch " + std::to_string(samples) + ": a step of the whole batch fits so, in " +
         rounded(peak_bytes / 1e9) + " GB (measured)";
}

Fitting find_micro_batch(Training& t) {
  const std::int64_t asked = t.options.micro_batch;
  const std::int64_t failed = asked > 0 ? asked : t.options.recipe.batch_size;
  Fitting found;
  for (auto samples = std::bit_floor(static_cast<std::uint64_t>(failed - 1)); samples >= 2 && found.samples == 0;
       samples /= 2) {
    t.options.micro_batch = static_cast<std::int64_t>(samples);
    const double peak = peak_of_steps(t);
    if (peak > 0) found = {t.options.micro_batch, peak};
  }
  t.options.micro_batch = asked;
  return found;
}

void explain_out_of_memory(Training& t, const simclr::OutOfMemory& error) {
  // A step is all ranks' affair, and the others may have memory.
  SIMCLR_CHECK(t.world->size() == 1, error.what(), ", on rank ", t.world->rank(), " of ", t.world->size(),
               ". Try a smaller --micro-batch, or more ranks on more machines");
  print("out of memory; trying smaller micro-batches\n");
  flush_printed();
  simclr::fail(error.what(), ". Try ", find_micro_batch(t).remedy(t.modality->smaller()));
}
