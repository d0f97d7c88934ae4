#pragma once

#include <simclr/nn/layers.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/model.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace simclr::nn {

struct ProjectionHeadOptions {
  std::int64_t in = 0;
  std::int64_t hidden = 0;  // 0: as `in`
  std::int64_t out = 128;
  int layers = 2;               // 2 (SimCLR) or 3 (SimCLRv2)
  bool batchnorm = true;        // behind every hidden layer, which then has no bias
  bool last_batchnorm = false;  // behind the last layer
  bool last_shift = true;       // whether that batch norm shifts, or scales only
  bool last_bias = false;
  std::uint64_t seed = 0;
};

/// g: the MLP between the encoder's features and the loss, [N,in] -> [N,out]: Linear(-BN)-ReLU-...-Linear(-BN).
class SIMCLR_API ProjectionHead : public Module {
 public:
  /// Throws Error for other layers than 2 or 3, and for sizes that are not positive.
  explicit ProjectionHead(const ProjectionHeadOptions& options);
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return linear_.back()->output_features(); }

 private:
  std::vector<std::shared_ptr<Linear>> linear_;
  std::vector<std::shared_ptr<BatchNorm>> norm_;  // null where a layer has none
};

struct SimCLROptions {
  std::shared_ptr<Module> encoder;
  ProjectionHeadOptions head = {};  // `in` 0: as the encoder says
  bool views_apart = false;  // in training the first N rows of [2N,...] go through by themselves, then the others
  NtXentOptions loss = {};   // its temperature, and the views of each sample
  std::int64_t classes = 0;  // SupCon: how many there are among the groups, for chance() and bound(); 0: no groups
};

/// Encoder f and projection head g: views -> h = f(views) -> z = g(h). Evaluation uses h. All views of a batch go
/// through in one pass, so that batch norm sees them together, as in google-research/simclr; or with `views_apart` two
/// views one after the other, as in solo-learn and lightly. The encoder is any Module. The loss is NT-Xent
/// (nn/losses.h), of inputs with groups SupCon.
class SIMCLR_API SimCLR : public Model {
 public:
  /// Throws Error without an encoder, for a head that does not fit it, for other views than two that are to go apart,
  /// and for a loss.logit_scale.
  explicit SimCLR(const SimCLROptions& options);
  /// z [V N,D] of views [V N,...], row by row. Throws Error for an odd number of rows that are to go apart.
  Tensor forward(const Input& views) override;

  int towers() const override { return 1; }
  int views(int tower = 0) const override;
  Module& tower(int tower) override;
  Module& encoder(int tower = 0) override;
  Module& head() { return *head_; }
  Tensor loss(std::span<const Tensor> z) override;
  /// SupCon: the views of all samples of a group are each other's positives; supcon() of nn/distributed.h says which
  /// groups there may be. Throws Error as that does.
  Tensor loss_of_groups(std::span<const Tensor> z, const Tensor& groups) override;
  /// nt_xent_chance() and nt_xent_bound(), for as many views as the loss has and its form; with classes
  /// supcon_chance() and supcon_bound().
  double chance(std::int64_t samples) const override;
  double bound(std::int64_t samples) const override;

 private:
  std::shared_ptr<Module> encoder_;
  std::shared_ptr<ProjectionHead> head_;
  bool views_apart_;
  NtXentOptions loss_;
  std::int64_t classes_;
  std::map<std::int64_t, Tensor> groups_;  // of other numbers of views than two, by the rows of z
};

struct TwoTowersOptions {
  std::array<std::shared_ptr<Module>, 2> encoders;  // may be one and the same: both parts are then of one kind
  std::array<ProjectionHeadOptions, 2> heads = {{{}, {.seed = 1}}};  // `in` 0: as the encoder says; `out` alike
  NtXentOptions loss = {.temperature = 0.1};
  /// Learns the temperature, from loss.temperature on, as CLIP does (arXiv 2103.00020, sections 2.3 and 2.5): an f32
  /// parameter logit_scale [], log(1/tau), with 1/tau at most 100 (kernels::NtXentTemperature). No optimizer decays it.
  bool learn_temperature = false;
};

/// The views of a first and a second part, N of each, in one input [2N,...], the first part's before the second's: what
/// TwoTowers::forward() takes. A copy outside the graph, without groups. Throws Error for views of two shapes or
/// dtypes.
SIMCLR_API Input both_parts(const Input& first, const Input& second);

/// Two encoders that learn to match the two parts of a sample, a picture and its caption say: each sample's own pair
/// against all others of the batch (ConVIRT, arXiv 2010.00747; CLIP, arXiv 2103.00020). The loss is the mean of the
/// rectangular NT-Xent from the first tower to the second and the other way round: with a_i and b_i the towers' z over
/// their norms,
///   loss = -(1/2N) sum_i [ log(e^{s_ii} / sum_k e^{s_ik}) + log(e^{s_ii} / sum_k e^{s_ki}) ],  s_ik = a_i.b_k / tau
/// Parameters are called towers.0.encoder.*, towers.0.head.*, towers.1.*, and logit_scale where it is learned; those of
/// an encoder that both share are towers.0.encoder.* alone. Such a one sees both parts in one pass, as SimCLR's sees
/// its views: batch norm takes its statistics from both together, which are those that evaluation uses for either.
class SIMCLR_API TwoTowers : public Model {
 public:
  /// Throws Error without two encoders, for heads that do not fit them or each other, for a loss.logit_scale, and with
  /// learn_temperature for a temperature below 0.01 or not finite and for a loss with a class prior or a hardness.
  explicit TwoTowers(const TwoTowersOptions& options);
  /// z [2N,D] of both_parts() [2N,...] through an encoder that both share. Throws Error where each tower has its own.
  Tensor forward(const Input& input) override;

  int towers() const override { return 2; }
  int views(int tower = 0) const override;  // 1
  Module& tower(int tower) override;
  Module& encoder(int tower = 0) override;
  /// Of z [N,D] of each tower, row i of both from sample i: a scalar, f32 (f64 of f64). Throws Error for another number
  /// of towers, for z of two shapes, and as nt_xent() does.
  Tensor loss(std::span<const Tensor> z) override;
  /// Several captions of one picture, say, are one group: every z_b of a_i's group is its positive, and none of them a
  /// negative; P_i of kernels/nt_xent.h. Pairs without a group have one of their own, a number that is not -1.
  Tensor loss_of_groups(std::span<const Tensor> z, const Tensor& groups) override;
  /// ln N: each of the other tower's N is as like as any other. Of other forms as nt_xent_chance() says.
  double chance(std::int64_t samples) const override;
  /// ln(1 + (N-1) e^{-N / ((N-1) tau)}): both towers' z of a sample equal, the N samples spread as a simplex. Of other
  /// forms as nt_xent_bound() says.
  double bound(std::int64_t samples) const override;

 private:
  std::vector<Tensor> project(std::span<const Input> inputs, std::int64_t samples) override;
  /// `all`: the groups of all ranks' samples.
  Tensor loss_of_all_groups(std::span<const Tensor> z, const Tensor& all);

  std::array<std::shared_ptr<Module>, 2> encoders_, towers_;
  std::shared_ptr<Module> both_;  // of both parts through one encoder; null: there are two
  NtXentOptions loss_;
  std::map<std::int64_t, Tensor> groups_;  // of the pairs, by their number N: 0 .. N-1
};

}  // namespace simclr::nn
