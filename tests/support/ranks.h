#pragma once

#include <simclr/core/world.h>
#include <simclr/nn/layers.h>

#include <memory>
#include <utility>
#include <vector>

/// Ranks of a run for tests, what each has of a batch, and a small model for them to train.
namespace simclr::test {

/// What each rank's body gives, by rank. Bodies check nothing themselves: Catch wants one thread.
template <class Body>
auto of_each(int ranks, const Body& body) {
  std::vector<decltype(body(std::declval<World&>()))> results(static_cast<std::size_t>(ranks));
  of_threads(ranks, [&](World& world) { results[static_cast<std::size_t>(world.rank())] = body(world); });
  return results;
}

/// A rank's rows of a batch of `views` views of each sample.
inline Tensor share(const World& world, const Tensor& whole, int views) {
  const std::int64_t all = whole.dim(0) / views, own = all / world.size();
  Tensor rows = Tensor::empty(whole.shape().with_first(views * own), whole.dtype());
  for (int v = 0; v < views; ++v) {
    rows.narrow(v * own, own).copy_from(whole.narrow(v * all + world.rank() * own, own));
  }
  return rows;
}

/// Two convolutions with batch norm, the second with a residual: [N,H,W,3] -> [N,4].
class SmallEncoder : public nn::Module {
 public:
  SmallEncoder() {
    using namespace nn;
    first_ = add_module("conv1", std::make_shared<Conv2d>(Conv2dOptions{.in = 3, .out = 4, .kernel = 3, .padding = 1}));
    norm1_ = add_module("bn1", std::make_shared<BatchNorm>(4));
    second_ =
        add_module("conv2", std::make_shared<Conv2d>(Conv2dOptions{.in = 4, .out = 4, .kernel = 3, .padding = 1}));
    norm2_ = add_module("bn2", std::make_shared<BatchNorm>(4));
    initialize(3);
  }
  Tensor forward(const Input& input) override {
    const Tensor x = norm1_->relu((*first_)(input.x));
    return nn::global_average_pool(norm2_->add_relu((*second_)(x), x));
  }
  std::int64_t output_features() const override { return 4; }

 private:
  std::shared_ptr<nn::Conv2d> first_, second_;
  std::shared_ptr<nn::BatchNorm> norm1_, norm2_;
};

}  // namespace simclr::test
