#include <simclr/nn/distributed.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/micro_batches.h>
#include <simclr/nn/simclr.h>

#include <cmath>
#include <map>
#include <utility>

namespace simclr::nn {
namespace {

/// The rows of both, [2N,...] of two [N,...], outside the graph.
Tensor stacked(const Tensor& first, const Tensor& second) {
  SIMCLR_CHECK(first.shape() == second.shape() && first.dtype() == second.dtype(), "both parts: ", describe(first),
               " and ", describe(second), " are no rows of one kind");
  const std::int64_t half = first.dim(0);
  Tensor all = Tensor::empty(first.shape().with_first(2 * half), first.dtype(), first.device());
  all.narrow(0, half).copy_from(first.detach());
  all.narrow(half, half).copy_from(second.detach());
  return all;
}

/// The same in the graph.
Tensor record_stacked(const Tensor& first, const Tensor& second) {
  return record("stacked", {first, second}, stacked(first, second), [half = first.dim(0)](Backward& bw) {
    for (int i = 0; i < 2; ++i) {
      if (bw.needs(i)) bw.set(i, bw.dy().narrow(i * half, half));
    }
  });
}

Tensor lengths_of(const Input& input) {
  if (input.lengths.defined()) return input.lengths;
  return Tensor::full({input.rows()}, static_cast<double>(input.x.dim(1)), DType::i32, input.x.device());
}

}  // namespace

ProjectionHead::ProjectionHead(const ProjectionHeadOptions& options) {
  SIMCLR_CHECK(options.layers == 2 || options.layers == 3, "projection head: ", options.layers,
               " layers; 2 (SimCLR) or 3 (SimCLRv2) are supported");
  SIMCLR_CHECK(options.in > 0 && options.out > 0 && options.hidden >= 0, "projection head: in ", options.in,
               ", hidden ", options.hidden, ", out ", options.out, "; sizes must be positive");
  const std::int64_t hidden = options.hidden > 0 ? options.hidden : options.in;
  std::int64_t in = options.in;
  for (int i = 0; i < options.layers; ++i) {
    const bool last = i + 1 == options.layers;
    const std::int64_t out = last ? options.out : hidden;
    const bool norm = last ? options.last_batchnorm : options.batchnorm;
    const bool bias = last ? options.last_bias : !norm;
    const std::string number = std::to_string(i + 1);
    linear_.push_back(
        add_module("linear" + number, std::make_shared<Linear>(LinearOptions{.in = in, .out = out, .bias = bias})));
    norm_.push_back(norm ? add_module("bn" + number, std::make_shared<BatchNorm>(BatchNormLayerOptions{
                                                         .channels = out, .shift = !last || options.last_shift}))
                         : nullptr);
    in = out;
  }
  initialize(options.seed);
}

Tensor ProjectionHead::forward(const Input& input) {
  Tensor y = input.x;
  for (std::size_t i = 0; i < linear_.size(); ++i) {
    const bool last = i + 1 == linear_.size();
    y = (*linear_[i])(y);
    if (norm_[i]) {
      y = last ? (*norm_[i])(y) : norm_[i]->relu(y);
    } else if (!last) {
      y = relu(y);
    }
  }
  return y;
}

namespace {

std::shared_ptr<ProjectionHead> make_head(const Module& encoder, ProjectionHeadOptions options, const char* who) {
  if (options.in == 0) options.in = encoder.output_features();
  SIMCLR_CHECK(options.in > 0, who, ": the encoder does not say how many features it gives; set head.in");
  return std::make_shared<ProjectionHead>(options);
}

/// One tower of several: its parameters are encoder.* and head.*
class EncoderAndHead : public Module {
 public:
  EncoderAndHead(std::shared_ptr<Module> encoder, std::shared_ptr<ProjectionHead> head)
      : encoder_(add_module("encoder", std::move(encoder))), head_(add_module("head", std::move(head))) {}
  Tensor forward(const Input& input) override { return (*head_)((*encoder_)(input)); }
  std::int64_t output_features() const override { return head_->output_features(); }

 private:
  std::shared_ptr<Module> encoder_;
  std::shared_ptr<ProjectionHead> head_;
};

/// What a second tower adds to a model where the first one's encoder is its own, too.
class HeadAlone : public Module {
 public:
  explicit HeadAlone(std::shared_ptr<ProjectionHead> head) : head_(add_module("head", std::move(head))) {}
  Tensor forward(const Input& input) override { return (*head_)(input); }

 private:
  std::shared_ptr<ProjectionHead> head_;
};

/// Both parts' views [2N,...] through one encoder in one pass, and each part's features through a head of its own.
class SharedEncoder : public Module {
 public:
  SharedEncoder(std::shared_ptr<Module> encoder, const std::array<std::shared_ptr<ProjectionHead>, 2>& heads)
      : encoder_(add_module("encoder", std::move(encoder))), heads_(heads) {
    for (std::size_t i = 0; i < 2; ++i) add_module("head" + std::to_string(i), heads_[i]);
  }
  Tensor forward(const Input& views) override {
    SIMCLR_CHECK(views.x.rank() > 0 && views.rows() % 2 == 0, "TwoTowers: wants views of both parts, [2N,...], got ",
                 describe(views.x));
    const Tensor h = (*encoder_)(views);
    const std::int64_t half = views.rows() / 2;
    return record_stacked((*heads_[0])(h.narrow(0, half)), (*heads_[1])(h.narrow(half, half)));
  }

 private:
  std::shared_ptr<Module> encoder_;
  std::array<std::shared_ptr<ProjectionHead>, 2> heads_;
};

/// The least temperature that the loss can have.
double least_temperature(const NtXentOptions& loss) {
  return loss.logit_scale.defined() ? 1 / kernels::nt_xent_most_scale : loss.temperature;
}

void check_tower(const char* who, int tower, int towers) {
  SIMCLR_CHECK(tower >= 0 && tower < towers, who, ": tower ", tower, " of ", towers);
}

/// sample_groups(z, views), one for each number of rows: a step that is captured uploads nothing, and what it reads
/// stays when a batch of another size comes.
const Tensor& keep_groups(std::map<std::int64_t, Tensor>& kept, const Tensor& z, std::int64_t rows, int views) {
  Tensor& groups = kept[rows];
  if (!groups.defined() || groups.device() != z.device()) groups = sample_groups(rows, views, z.device());
  return groups;
}

/// Of two towers' z.
void check_towers(std::span<const Tensor> z) {
  SIMCLR_CHECK(z.size() == 2, "TwoTowers: the loss of ", z.size(), " towers; it has two");
  SIMCLR_CHECK(z[0].shape() == z[1].shape() && z[0].rank() == 2, "TwoTowers: z ", describe(z[0]), " and ",
               describe(z[1]), " are not [N,D] of the same samples");
}

/// A temperature that the model has not made itself would be no parameter of it.
void check_logit_scale(const char* who, const NtXentOptions& loss, const char* remedy) {
  SIMCLR_CHECK(!loss.logit_scale.defined(), who, ": loss.logit_scale would be in no parameters(); ", remedy);
}

}  // namespace

SimCLR::SimCLR(const SimCLROptions& options)
    : encoder_(options.encoder), views_apart_(options.views_apart), loss_(options.loss), classes_(options.classes) {
  SIMCLR_CHECK(encoder_ != nullptr, "SimCLR: an encoder is needed");
  check_logit_scale("SimCLR", loss_, "give it to nt_xent() in a model of your own");
  SIMCLR_CHECK(loss_.views >= 2, "SimCLR: views ", loss_.views, "; at least 2 of each sample are needed");
  SIMCLR_CHECK(!views_apart_ || loss_.views == 2, "SimCLR: views_apart is for two views, not ", loss_.views);
  add_module("encoder", encoder_);
  head_ = add_module("head", make_head(*encoder_, options.head, "SimCLR"));
}

int SimCLR::views(int tower) const {
  check_tower("SimCLR", tower, 1);
  return loss_.views;
}

Module& SimCLR::tower(int tower) {
  check_tower("SimCLR", tower, 1);
  return *this;
}

Module& SimCLR::encoder(int tower) {
  check_tower("SimCLR", tower, 1);
  return *encoder_;
}

Tensor SimCLR::loss(std::span<const Tensor> z) {
  SIMCLR_CHECK(z.size() == 1, "SimCLR: the loss of ", z.size(), " towers; it has one");
  if (world().size() > 1) return nt_xent(world(), z[0], loss_);
  if (loss_.views == 2) return nt_xent(z[0], loss_);
  const Tensor& groups = keep_groups(groups_, z[0], z[0].dim(0), loss_.views);
  NtXentOptions options = loss_;
  options.views = 2;  // the groups say it
  return nt_xent(z[0], z[0], {.anchor_group = groups, .candidate_group = groups}, options);
}

Tensor SimCLR::loss_of_groups(std::span<const Tensor> z, const Tensor& groups) {
  SIMCLR_CHECK(z.size() == 1, "SimCLR: the loss of ", z.size(), " towers; it has one");
  return supcon(world(), z[0], groups, loss_);
}

double SimCLR::chance(std::int64_t samples) const {
  if (classes_ > 0) return supcon_chance(samples, loss_.views, classes_, loss_.form);
  return nt_xent_chance(samples, loss_.views, loss_.views - 1, loss_.form);
}

double SimCLR::bound(std::int64_t samples) const {
  if (classes_ > 0) return supcon_bound(samples, loss_.views, classes_, least_temperature(loss_), loss_.form);
  return nt_xent_bound(samples, loss_.views, loss_.views - 1, least_temperature(loss_), loss_.form);
}

Tensor SimCLR::forward(const Input& views) {
  if (!views_apart_ || !training()) return (*head_)((*encoder_)(views));
  SIMCLR_CHECK(views.x.rank() > 0 && views.rows() % 2 == 0, "SimCLR: wants two views of each sample, [2N,...], got ",
               describe(views.x));
  const std::int64_t half = views.rows() / 2;
  const Tensor first = (*head_)((*encoder_)(views.narrow(0, half)));
  const Tensor second = (*head_)((*encoder_)(views.narrow(half, half)));
  return record_stacked(first, second);
}

Input both_parts(const Input& first, const Input& second) {
  Input both = stacked(first.x, second.x);
  if (first.lengths.defined() || second.lengths.defined())
    both.lengths = stacked(lengths_of(first), lengths_of(second));
  if (first.keys.defined() && second.keys.defined()) both.keys = stacked(first.keys, second.keys);
  return both;
}

TwoTowers::TwoTowers(const TwoTowersOptions& options) : encoders_(options.encoders), loss_(options.loss) {
  SIMCLR_CHECK(encoders_[0] != nullptr && encoders_[1] != nullptr, "TwoTowers: two encoders are needed");
  SIMCLR_CHECK(options.heads[0].out == options.heads[1].out, "TwoTowers: the heads give ", options.heads[0].out,
               " and ", options.heads[1].out, " columns; both must give as many, to be compared");
  std::array<std::shared_ptr<ProjectionHead>, 2> heads;
  for (std::size_t t = 0; t < 2; ++t) {
    const std::shared_ptr<ProjectionHead>& head = heads[t] = make_head(*encoders_[t], options.heads[t], "TwoTowers");
    towers_[t] = std::make_shared<EncoderAndHead>(encoders_[t], head);
    const bool known = t == 1 && encoders_[0] == encoders_[1];  // its parameters are the model's once
    add_module("towers." + std::to_string(t),
               known ? std::static_pointer_cast<Module>(std::make_shared<HeadAlone>(head)) : towers_[t]);
  }
  if (encoders_[0] == encoders_[1]) both_ = std::make_shared<SharedEncoder>(encoders_[0], heads);
  check_logit_scale("TwoTowers", loss_, "learn_temperature makes one that is");
  if (!options.learn_temperature) return;
  SIMCLR_CHECK(loss_.form.class_prior == 0 && loss_.form.hardness == 0,
               "TwoTowers: a class prior or a hardness needs a fixed temperature; leave learn_temperature off");
  const double scale = 1 / loss_.temperature;
  SIMCLR_CHECK(scale > 0 && scale <= kernels::nt_xent_most_scale, "TwoTowers: a temperature of ", loss_.temperature,
               " to learn from; it must be finite and at least ", 1 / kernels::nt_xent_most_scale);
  const Initializer start{Initializer::Kind::constant, std::log(scale)};
  loss_.logit_scale = add_parameter("logit_scale", {}, Role::temperature, start);
  loss_.logit_scale.fill(start.value);
}

Tensor TwoTowers::forward(const Input& input) {
  SIMCLR_CHECK(both_ != nullptr,
               "TwoTowers: there is an input for each tower; call loss_of(), or tower(0) and tower(1)");
  return (*both_)(input);
}

std::vector<Tensor> TwoTowers::project(std::span<const Input> inputs, std::int64_t samples) {
  if (!both_) return Model::project(inputs, samples);
  const Tensor z = in_micro_batches(*both_, both_parts(inputs[0], inputs[1]), samples, 2);
  const std::int64_t half = z.dim(0) / 2;
  return {z.narrow(0, half), z.narrow(half, half)};
}

int TwoTowers::views(int tower) const {
  check_tower("TwoTowers", tower, 2);
  return 1;
}

Module& TwoTowers::tower(int tower) {
  check_tower("TwoTowers", tower, 2);
  return *towers_[static_cast<std::size_t>(tower)];
}

Module& TwoTowers::encoder(int tower) {
  check_tower("TwoTowers", tower, 2);
  return *encoders_[static_cast<std::size_t>(tower)];
}

Tensor TwoTowers::loss(std::span<const Tensor> z) {
  check_towers(z);
  return loss_of_all_groups(z, keep_groups(groups_, z[0], world().size() * z[0].dim(0), 1));
}

Tensor TwoTowers::loss_of_groups(std::span<const Tensor> z, const Tensor& groups) {
  check_towers(z);
  return loss_of_all_groups(z, world().all_gather(groups));
}

Tensor TwoTowers::loss_of_all_groups(std::span<const Tensor> z, const Tensor& all) {
  const std::int64_t own = all.dim(0) / world().size();
  const Tensor groups = world().size() == 1 ? all : all.narrow(world().rank() * own, own);
  const kernels::NtXentPairs pairs{.self_offset = -1, .anchor_group = groups, .candidate_group = all};
  return scale(add(nt_xent(world(), z[0], z[1], pairs, loss_), nt_xent(world(), z[1], z[0], pairs, loss_)), 0.5);
}

double TwoTowers::chance(std::int64_t samples) const {
  return nt_xent_chance(samples, 1, 1, loss_.form);
}

double TwoTowers::bound(std::int64_t samples) const {
  return nt_xent_bound(samples, 1, 1, least_temperature(loss_), loss_.form);
}

}  // namespace simclr::nn
