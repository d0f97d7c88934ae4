#pragma once

#include <simclr/nn/metrics.h>
#include <simclr/nn/module.h>

#include <cstdint>
#include <functional>
#include <string>

/// What an encoder has learned, measured without changing it:
///
///   const nn::Features train = nn::extract_features(encoder, train_batches), test = ...;
///   const nn::Metrics knn = nn::compute_metrics(nn::knn_scores(train, test.values, classes), test.labels);
///   const nn::Metrics probe = nn::compute_metrics(nn::linear_probe_scores(train, test.values, classes), test.labels);
///
/// The features are the encoder's output h, before the projection head. Scores are the same bits for every thread
/// count.
namespace simclr::nn {

/// What a frozen encoder makes of a data set.
struct Features {
  Tensor values;                     // [N,F] f32 on the CPU
  std::vector<std::int32_t> labels;  // [N]
};

/// Runs the encoder over all batches in evaluation mode, on its own device, recording nothing. The encoder is left as
/// it was, each of its modules in its own mode. Throws Error where there is no batch, where labels do not match the
/// inputs, and for an output that is not [N,F].
SIMCLR_API Features extract_features(Module& encoder, const NextBatch& next);

/// Makes the running statistics of every BatchNorm in `model` the plain average of the batches' own (one that is
/// smaller than the first is left out: its statistics are poorer), by one pass in training mode: an untrained encoder
/// has no others to be evaluated with. Weights and modes are left as they were; the momentum ends at its default, 0.1.
/// Labels are not read. Returns how many batches were averaged.
SIMCLR_API std::int64_t calibrate_batchnorm(Module& model, const NextBatch& next);

struct KnnOptions {
  int k = 200;
  double temperature = 0.1;
  Device device = {};  // that computes the similarities
  /// Called about every batch of the work, by several threads at once: what it throws ends the work.
  std::function<void()> poll = {};
};

/// Weighted k-nearest-neighbour classifier (Wu et al., arXiv 1805.01978, section 3.4): the k training rows of the
/// highest cosine similarity s vote for their class with weight exp(s / temperature). Returns [N,classes] f32, each
/// row's votes divided by their sum, for `test` [N,F] f32. A k above the number of training rows means all of them; of
/// equally similar rows the lower index counts first; a row of norm 0 has similarity 0 to all. Memory: a normalised
/// copy of the features and one tile of similarities a thread. Throws Error for labels outside 0..classes-1, NaN or
/// Inf, shapes that do not fit, and options that are not positive.
SIMCLR_API Tensor knn_scores(const Features& train, const Tensor& test, std::int64_t classes,
                             const KnnOptions& options = {});

struct ProbeOptions {
  int epochs = 100;
  double learning_rate = 0.1;  // for each 256 rows of a batch
  std::int64_t batch_size = 512;
  double momentum = 0.9;  // Nesterov
  double weight_decay = 0.0;
  std::uint64_t seed = 0;           // of the order of samples
  std::function<void()> poll = {};  // as KnnOptions::poll
};

/// Linear evaluation (SimCLR, arXiv 2002.05709, appendix B.6): softmax regression on frozen features, by SGD with
/// Nesterov momentum from zero weights. The learning rate starts at learning_rate * batch / 256 and falls to 0 along a
/// half cosine, step by step. Features are first standardised in each dimension by the training rows' mean and
/// deviation (a constant dimension becomes 0): the classifier stays linear in h, and one learning rate suits encoders
/// of every scale. Returns logits [N,classes] f32 for `test` [N,F] f32. One thread does the work. Throws Error as
/// knn_scores does, and where the probe diverges.
SIMCLR_API Tensor linear_probe_scores(const Features& train, const Tensor& test, std::int64_t classes,
                                      const ProbeOptions& options = {});

/// Whether the features still tell inputs apart. All figures are of L2-normalised features.
struct CollapseReport {
  /// exp of the entropy of the covariance's normalised eigenvalues (after Roy & Vetterli, EUSIPCO 2007): as many equal
  /// directions would hold the variance. From 0 (one point) to the smaller of F and the rows looked at less one.
  double effective_rank = 0;
  /// Mean over the dimensions of the standard deviation, times sqrt(F): near 1 spread over the sphere, 0 one point.
  double mean_std = 0;
  /// NaN or Inf; or all in one point; or in about one direction; or 99 % of the variance in a sixth of the dimensions
  /// or fewer (dimensional collapse: Jing et al., arXiv 2110.09348).
  bool collapsed = false;
  std::string message;  // one line: the finding, the figures, and what to do
};

/// Looks at rows spread evenly over `values` [N,F] f32, N >= 2: at most 2,000, 512 where F > 512. Never throws for NaN
/// or Inf: they are reported as collapsed.
SIMCLR_API CollapseReport check_collapse(const Tensor& values);

/// Alignment (Wang & Isola, arXiv 2005.10242, with alpha 2): the mean of |f(x) - f(y)|^2 over positive pairs, rows a_i
/// and b_i over their norms; `a` and `b` [N,F] f32 on the CPU, features of two views of the same N >= 1 inputs. From 0,
/// views agree, to 4; independent directions give 2. A row of norm 0 stays 0. NaN where a value is NaN or Inf.
SIMCLR_API double alignment(const Tensor& a, const Tensor& b);

/// Uniformity (ibid., with t 2): log of the mean of exp(-2 |f(x) - f(y)|^2) over all pairs of different rows over their
/// norms, of `values` [N,F] f32 on the CPU, N >= 2. From 0, all in one point, down to about -4, spread over the sphere.
/// At most 2,000 rows are looked at, spread evenly. A row of norm 0 stays 0. NaN where a value of them is NaN or Inf.
SIMCLR_API double uniformity(const Tensor& values);

}  // namespace simclr::nn
