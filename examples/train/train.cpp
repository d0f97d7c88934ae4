#include "train/train.h"

#include "train/out_of_memory.h"

using simclr::Tensor;

void train(Training& t, const RunState& state, RunRecorder& recorder) {
  TrainingStep step(t.compute.device, t.options.graph && !t.options.profile, [&t] {
    const Tensor loss = t.loss();
    loss.backward();
    t.optimizer->step(loss);
    return loss;
  });
  while (state.epoch < t.options.recipe.epochs) {
    t.source->begin(static_cast<std::uint32_t>(state.epoch), state.step);
    recorder.begin_epoch();
    while (t.source->next()) {
      try {
        step.run();
      } catch (const simclr::OutOfMemory& error) {
        step.forget_graph();
        explain_out_of_memory(t, error);
      }
      t.source->prefetch();
      recorder.after_step(step);
    }
    recorder.end_epoch(step);
  }
  recorder.end();
}
