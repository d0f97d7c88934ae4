#pragma once

#include <simclr/core/world.h>
#include <simclr/nn/module.h>

#include <cstdint>
#include <span>
#include <vector>

namespace simclr::nn {

/// What training asks of a model: one tower or several, each an encoder and a projection head, and the loss of what the
/// towers give. SimCLR has one tower, TwoTowers two (nn/simclr.h). A training step is
///
///   const Tensor loss = model.loss_of(batch.towers);  // data::Batch
///   loss.backward();
///   optimizer.step(loss);
class SIMCLR_API Model : public Module {
 public:
  virtual int towers() const = 0;
  /// How many views of each sample a tower's input has. This and the next two throw Error for a tower that there is
  /// not.
  virtual int views(int tower = 0) const = 0;
  /// A tower's encoder and head: [V B,...] -> z [V B,D], view v of sample i in row v B + i.
  virtual Module& tower(int tower) = 0;
  /// A tower's encoder, what is kept and evaluated: [N,...] -> h [N,F].
  virtual Module& encoder(int tower = 0) = 0;
  /// The loss of the towers' z [V B,D], a scalar, f32 (f64 of f64). Throws Error for another number of towers.
  virtual Tensor loss(std::span<const Tensor> z) = 0;
  /// The same where samples are in groups, i32 [V B] on z's device, those of the first input (Input::groups): those of
  /// one group are each other's positives, or to a classifier of one class. Throws Error for a model that takes none.
  virtual Tensor loss_of_groups(std::span<const Tensor> z, const Tensor& groups);
  /// What the loss of `samples` samples is where the model tells nothing apart, and what no model can go below,
  /// whatever temperature it learns.
  virtual double chance(std::int64_t samples) const = 0;
  virtual double bound(std::int64_t samples) const = 0;

  /// The loss of a batch, one input a tower, at most `samples` of its samples at a time (nn/micro_batches.h); 0: all at
  /// once. Groups are the first input's. Throws Error for another number of inputs, and as in_micro_batches() and
  /// loss() do.
  Tensor loss_of(std::span<const Input> inputs, std::int64_t samples = 0);

  /// Makes the ranks of `world`, of as many samples each, one run in training (nn/distributed.h): batch norm takes its
  /// statistics of all ranks' rows, and the loss is that of all ranks' samples, on every rank. Null: this process
  /// alone. The world must outlive what is computed so.
  void set_world(World* world);

 protected:
  /// This process alone where none was set.
  World& world() { return world_ != nullptr ? *world_ : alone_; }
  /// z of each tower, of its own input, at most `samples` samples at a time.
  virtual std::vector<Tensor> project(std::span<const Input> inputs, std::int64_t samples);

 private:
  World* world_ = nullptr;
  World alone_;
};

}  // namespace simclr::nn
