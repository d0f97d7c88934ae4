#include <simclr/nn/distributed.h>
#include <simclr/nn/functional.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/supervised.h>

#include <cmath>

namespace simclr::nn {
namespace {

void check_tower(int tower) {
  SIMCLR_CHECK(tower == 0, "Supervised: tower ", tower, " of 1");
}

}  // namespace

Supervised::Supervised(const SupervisedOptions& options) : encoder_(options.encoder) {
  SIMCLR_CHECK(encoder_ != nullptr, "Supervised: an encoder is needed");
  SIMCLR_CHECK(encoder_->output_features() > 0, "Supervised: the encoder does not say how many features it gives");
  SIMCLR_CHECK(options.classes >= 2, "Supervised: ", options.classes, " classes; at least 2 are needed");
  add_module("encoder", encoder_);
  classifier_ = add_module(
      "classifier", std::make_shared<Linear>(LinearOptions{.in = encoder_->output_features(), .out = options.classes}));
  classifier_->initialize(options.seed);
}

Tensor Supervised::forward(const Input& views) {
  return (*classifier_)((*encoder_)(views));
}

int Supervised::views(int tower) const {
  check_tower(tower);
  return 1;
}

Module& Supervised::tower(int tower) {
  check_tower(tower);
  return *this;
}

Module& Supervised::encoder(int tower) {
  check_tower(tower);
  return *encoder_;
}

Tensor Supervised::loss(std::span<const Tensor>) {
  fail("Supervised: its loss needs labels; give them as the input's groups");
}

Tensor Supervised::loss_of_groups(std::span<const Tensor> z, const Tensor& groups) {
  SIMCLR_CHECK(z.size() == 1, "Supervised: the loss of ", z.size(), " towers; it has one");
  const Tensor own = cross_entropy(z[0], groups);
  if (world().size() == 1) return own;
  return sum_over_ranks(world(), scale(own, 1.0 / world().size()));
}

double Supervised::chance(std::int64_t) const {
  return std::log(static_cast<double>(classifier_->output_features()));
}

double Supervised::bound(std::int64_t) const {
  return 0;
}

}  // namespace simclr::nn
