// The linear probe on the kernels directly: a batch is one gather, two products, one softmax and one SGD step. All are
// too small to share: on a busy machine, waiting for a second thread cost ten times the work itself (measured).
#include <simclr/nn/evaluate_checks.h>

#include <simclr/core/parallel.h>
#include <simclr/core/random.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/optimizer_step.h>
#include <simclr/kernels/softmax_xent.h>
#include <simclr/nn/schedule.h>

#include <algorithm>
#include <numeric>

namespace simclr::nn {
namespace {

struct Standardisation {
  std::vector<double> mean, factor;  // of each dimension
};

Standardisation standardisation(const Tensor& values) {
  const std::int64_t n = values.dim(0), dimensions = values.dim(1);
  const float* x = values.data<const float>();
  Standardisation result{std::vector<double>(static_cast<std::size_t>(dimensions)),
                         std::vector<double>(static_cast<std::size_t>(dimensions))};
  double* mean = result.mean.data();
  double* factor = result.factor.data();
  parallel_for(dimensions, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t d = begin; d < end; ++d) mean[d] += double{x[i * dimensions + d]};
    }
    for (std::int64_t d = begin; d < end; ++d) mean[d] /= static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t d = begin; d < end; ++d) {
        const double centred = double{x[i * dimensions + d]} - mean[d];
        factor[d] += centred * centred;
      }
    }
    for (std::int64_t d = begin; d < end; ++d) {
      const double deviation = std::sqrt(factor[d] / static_cast<double>(n));
      // Below f32's own rounding of the mean, a deviation is noise.
      factor[d] = deviation > 1e-6 * std::abs(mean[d]) ? 1.0 / deviation : 0.0;
    }
  });
  return result;
}

/// Rows of standardised features with a last column of ones, whose weight is the bias: [N,F+1].
Tensor standardise(const Tensor& values, const Standardisation& by) {
  const std::int64_t n = values.dim(0), dimensions = values.dim(1);
  Tensor result = Tensor::empty({n, dimensions + 1});
  const float* x = values.data<const float>();
  float* y = result.data<float>();
  parallel_for(n, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = y + i * (dimensions + 1);
      for (std::int64_t d = 0; d < dimensions; ++d) {
        const auto k = static_cast<std::size_t>(d);
        row[d] = static_cast<float>((double{x[i * dimensions + d]} - by.mean[k]) * by.factor[k]);
      }
      row[dimensions] = 1.0f;
    }
  });
  return result;
}

/// A new order of all samples each epoch (Fisher and Yates).
void shuffle(std::vector<std::int32_t>& order, std::uint64_t seed, int epoch) {
  const Random random(seed, RandomPurpose::shuffle, 0, static_cast<std::uint32_t>(epoch));
  std::iota(order.begin(), order.end(), 0);
  for (auto i = static_cast<std::uint32_t>(order.size()); i > 1; --i)
    std::swap(order[i - 1], order[random.below(i, i)]);
}

void gather(const Tensor& rows, const std::int32_t* order, Tensor& batch) {
  const std::int64_t columns = rows.dim(1);
  const float* x = rows.data<const float>();
  float* y = batch.data<float>();
  parallel_for(batch.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) std::copy_n(x + order[i] * columns, columns, y + i * columns);
  });
}

/// The weights [F+1,classes], last row the bias, and what SGD keeps beside them. The bias takes no weight decay.
struct Classifier {
  Classifier(std::int64_t inputs, std::int64_t classes, Tensor learning_rates)
      : weights(Tensor::zeros({inputs, classes})), gradients(Tensor::zeros({inputs, classes})) {
    const auto bias = static_cast<std::int32_t>((inputs - 1) * classes),
               end = static_cast<std::int32_t>(inputs * classes);
    arena.values = weights.reshape({weights.numel()});
    arena.gradients = gradients.reshape({weights.numel()});
    arena.segments = Tensor::from(std::vector<std::int32_t>{0, bias, kernels::segment_decay, bias, end, 0}, {2, 3});
    arena.learning_rates = std::move(learning_rates);
    arena.step = Tensor::zeros({1}, DType::i32);
    momentum = Tensor::zeros({weights.numel()});
  }

  Tensor weights, gradients, momentum;
  kernels::OptimizerArena arena;
};

}  // namespace

Tensor linear_probe_scores(const Features& train, const Tensor& test, std::int64_t classes,
                           const ProbeOptions& options) {
  check_problem("linear probe", train, test, classes);
  SIMCLR_CHECK(options.epochs > 0 && options.learning_rate > 0 && options.batch_size > 0 && options.momentum >= 0 &&
                   options.momentum < 1 && options.weight_decay >= 0,
               "linear probe: epochs ", options.epochs, ", learning rate ", options.learning_rate, ", batch ",
               options.batch_size, ", momentum ", options.momentum, ", weight decay ", options.weight_decay,
               "; the first three must be positive, momentum in [0, 1), weight decay not negative");
  normalize_finite("linear probe", "training", train.values);
  normalize_finite("linear probe", "test", test);

  const std::int64_t n = train.values.dim(0), batch = std::min(options.batch_size, n);
  const std::int64_t batches = (n + batch - 1) / batch;
  const Standardisation by = standardisation(train.values);
  const Tensor rows = standardise(train.values, by);
  const double peak = options.learning_rate * static_cast<double>(batch) / 256.0;
  const std::vector<float> rates = warmup_cosine({.peak = peak, .steps = batches * options.epochs}).rates;
  Classifier classifier(rows.dim(1), classes, Tensor::from(rates, {std::ssize(rates)}));
  const kernels::SgdOptions sgd{
      .momentum = options.momentum, .weight_decay = options.weight_decay, .nesterov = options.momentum > 0};

  const SerialScope serial;
  const Tensor one = Tensor::full({}, 1.0);
  const Tensor inputs_memory = Tensor::empty({batch, rows.dim(1)});
  const Tensor logits_memory = Tensor::empty({batch, classes});
  const Tensor labels_memory = Tensor::empty({batch}, DType::i32);
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    shuffle(order, options.seed, epoch);
    for (std::int64_t begin = 0; begin < n; begin += batch) {
      if (options.poll) options.poll();
      const std::int64_t size = std::min(batch, n - begin);
      const std::int32_t* chosen = order.data() + begin;
      Tensor inputs = inputs_memory.narrow(0, size), logits = logits_memory.narrow(0, size);
      Tensor labels = labels_memory.narrow(0, size);
      gather(rows, chosen, inputs);
      std::transform(chosen, chosen + size, labels.data<std::int32_t>(),
                     [&](std::int32_t i) { return train.labels[static_cast<std::size_t>(i)]; });
      kernels::gemm(inputs, classifier.weights, logits);
      const auto forward = kernels::softmax_xent_forward(logits, labels);
      const Tensor dlogits = kernels::softmax_xent_backward(logits, labels, forward.log_sum, one);
      kernels::gemm(inputs, dlogits, classifier.gradients, {.transpose_a = true});
      kernels::sgd_step(classifier.arena, classifier.momentum, sgd);
    }
  }

  const float* weights = classifier.weights.data<const float>();
  SIMCLR_CHECK(std::all_of(weights, weights + classifier.weights.numel(), [](float w) { return std::isfinite(w); }),
               "linear probe: diverged; lower its learning rate, ", options.learning_rate);
  Tensor scores = Tensor::empty({test.dim(0), classes});
  kernels::gemm(standardise(test, by), classifier.weights, scores);
  return scores;
}

}  // namespace simclr::nn
