#pragma once

#include <simclr/simclr.h>

#include <functional>
#include <optional>
#include <utility>
#include <vector>

/// Runs a training step again and again. With `capture` the first steps run as they are, then the work of one is
/// captured and replayed. Losses stay on the device until they are asked for, so that the host does not wait.
class TrainingStep {
 public:
  static constexpr int eager_steps = 3;  // before a capture, until buffers and the libraries' plans exist

  /// `step` runs forward, backward and the update, and returns the loss, an f32 scalar.
  TrainingStep(simclr::Device device, bool capture, std::function<simclr::Tensor()> step)
      : device_(device),
        capture_(capture),
        step_(std::move(step)),
        losses_(simclr::Tensor::empty({device.type == simclr::DeviceType::cpu ? 1 : most_pending}, simclr::DType::f32,
                                      device)) {}

  void run() {
    if (capture_ && !graph_ && ran_ == eager_steps) graph_.emplace(device_, [this] { loss_ = step_(); });
    if (graph_) {
      graph_->replay();
    } else {
      loss_ = step_();
      ++ran_;
    }
    losses_.narrow(pending_++, 1).copy_from(loss_.detach().reshape({1}));
  }

  /// Gives back the memory that a captured step keeps; the next run() captures again.
  void forget_graph() { graph_.reset(); }

  /// Whether losses must be taken before the next run().
  bool full() const { return pending_ == losses_.dim(0); }

  /// The losses of the steps since the last call; waits for them.
  std::vector<float> take_losses() {
    std::vector<float> values;
    if (pending_ > 0) values = losses_.narrow(0, pending_).to_vector<float>();
    pending_ = 0;
    return values;
  }

 private:
  static constexpr std::int64_t most_pending = 50;

  simclr::Device device_;
  bool capture_;
  std::function<simclr::Tensor()> step_;
  std::optional<simclr::CapturedStep> graph_;
  int ran_ = 0;
  simclr::Tensor loss_, losses_;
  std::int64_t pending_ = 0;
};
