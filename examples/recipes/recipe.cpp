#include "recipes/recipe.h"

#include <simclr/core/error.h>

namespace nn = simclr::nn;

namespace {

using MadeOptimizer = std::unique_ptr<nn::Optimizer>;

MadeOptimizer make_sgd(const Recipe& r, const nn::Module& model, const nn::Schedule& schedule) {
  return std::make_unique<nn::Sgd>(model.parameters(),
                                   nn::SgdOptions{.momentum = r.momentum, .weight_decay = r.weight_decay}, schedule);
}

MadeOptimizer make_lars(const Recipe& r, const nn::Module& model, const nn::Schedule& schedule) {
  return std::make_unique<nn::Lars>(model.parameters(),
                                    nn::LarsOptions{.momentum = r.momentum,
                                                    .weight_decay = r.weight_decay,
                                                    .trust_coefficient = r.lars_trust,
                                                    .clip = r.lars_clip,
                                                    .rule = r.lars_rule},
                                    schedule);
}

MadeOptimizer make_adamw(const Recipe& r, const nn::Module& model, const nn::Schedule& schedule) {
  return std::make_unique<nn::AdamW>(
      model.parameters(), nn::AdamWOptions{.weight_decay = r.weight_decay, .decay_norm_and_bias = false}, schedule);
}

}  // namespace

nn::ProjectionHeadOptions head_options(const Recipe& r, std::uint64_t seed) {
  return {.hidden = r.head_hidden,
          .out = r.head_out,
          .layers = r.head_layers,
          .batchnorm = r.head_batchnorm,
          .last_batchnorm = r.head_last_batchnorm,
          .last_shift = r.head_last_shift,
          .last_bias = r.head_last_bias,
          .seed = seed};
}

const std::vector<OptimizerKind>& optimizer_kinds() {
  static const std::vector<OptimizerKind> all = {{"sgd", 0.003, 1, "0.03 to 0.12", make_sgd},
                                                 {"lars", 0.03, 10, "0.3 to 1", make_lars},
                                                 {"adamw", 3e-6, 5e-3, "0.0003", make_adamw}};
  return all;
}

const OptimizerKind& optimizer_of(const Recipe& r) {
  for (const OptimizerKind& each : optimizer_kinds()) {
    if (r.optimizer == each.name) return each;
  }
  simclr::fail("optimizer: \"", r.optimizer, "\" is not known");
}

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {"simclr", "supcon", "supervised"};
  return names;
}

const std::vector<std::string>& loss_names() {
  static const std::vector<std::string> names = {"nt-xent", "dcl",        "dclw",     "debiased",
                                                 "hard",    "supcon-out", "supcon-in"};
  return names;
}

simclr::kernels::NtXentForm loss_form(const Recipe& r) {
  if (r.loss == "nt-xent" || r.loss == "supcon-out") return {};
  if (r.loss == "supcon-in") return {.inside = true};
  if (r.loss == "dcl") return {.decoupled = true};
  if (r.loss == "dclw") return {.decoupled = true, .sigma = r.dclw_sigma};
  if (r.loss == "debiased") return {.class_prior = r.class_prior};
  if (r.loss == "hard") return {.class_prior = r.class_prior, .hardness = r.hardness};
  simclr::fail("loss: \"", r.loss, "\" is not known; use one of ", simclr::joined(loss_names(), ", "));
}
