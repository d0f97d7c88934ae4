#include "train/train.h"

#include "train/out_of_memory.h"
#include "train/ranks.h"

#include <simclr/data/loader.h>

using simclr::Tensor;

namespace {

/// What `read` returns of the samples. Where they can no longer be read, the error says how to go on.
template <class Read>
auto reading(const RunRecorder& recorder, Read read) {
  try {
    return read();
  } catch (const simclr::data::UnreadableData& error) {
    recorder.say_how_to_go_on(error);
  }
}

}  // namespace

void train(Training& t, const RunState& state, RunRecorder& recorder) {
  const bool alone = t.world->size() == 1;  // NCCL lets what crosses between ranks be captured; nobody has seen it yet
  TrainingStep step(t.compute.device, t.options.graph && !t.options.profile && alone, [&t] {
    const Tensor loss = t.loss();
    simclr::nn::backward(*t.world, loss, *t.optimizer, bucket_bytes(t.compute.device));
    t.optimizer->step(loss);
    return loss;
  });
  while (state.epoch < t.options.recipe.epochs) {
    t.source->begin(static_cast<std::uint32_t>(state.epoch), state.step);
    recorder.begin_epoch();
    while (reading(recorder, [&t] { return t.source->next(); })) {
      try {
        step.run();
      } catch (const simclr::OutOfMemory& error) {
        step.forget_graph();
        explain_out_of_memory(t, error);
      }
      reading(recorder, [&t] { t.source->prefetch(); });
      recorder.after_step(step);
    }
    recorder.end_epoch(step);
  }
  recorder.end();
}
