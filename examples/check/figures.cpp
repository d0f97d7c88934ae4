#include "check/figures.h"

#include "run/progress.h"
#include "train/method.h"
#include "train/ranks.h"
#include "train/shared_work.h"

#include <simclr/data/free_memory.h>
#include <simclr/nn/gradient_buckets.h>

#include <algorithm>
#include <chrono>
#include <cmath>

using simclr::Device;
using simclr::DType;
using simclr::Input;
using simclr::Tensor;
namespace nn = simclr::nn;

namespace {

using Clock = std::chrono::steady_clock;

/// The cosines of two towers' z, or of one's own, [M,D] each; samples are counted alike in both.
void add_similarities(const Tensor& a, const Tensor& b, bool own, std::int64_t samples, Similarities& sums,
                      Similarities& counts) {
  const auto exact = [](const Tensor& z) { return z.to(Device{}).to(DType::f64); };
  const auto cosine = nn::similarity(exact(a), exact(b)).to_vector<double>();
  const std::int64_t columns = b.dim(0);
  for (std::int64_t i = 0; i < a.dim(0); ++i) {
    for (std::int64_t j = 0; j < (own ? i : columns); ++j) {
      const bool same = i % samples == j % samples;
      (same ? sums.positive : sums.negative) += cosine[static_cast<std::size_t>(i * columns + j)];
      (same ? counts.positive : counts.negative) += 1;
    }
  }
}

Similarities similarities_of(const std::vector<Tensor>& z, std::int64_t samples) {
  Similarities sums, counts;
  for (std::size_t s = 0; s < z.size(); ++s) {
    if (z.size() == 1) add_similarities(z[s], z[s], true, samples, sums, counts);
    for (std::size_t t = 0; t < s; ++t) add_similarities(z[s], z[t], false, samples, sums, counts);
  }
  return {sums.positive / counts.positive, counts.negative > 0 ? sums.negative / counts.negative : 0};
}

std::int64_t samples_of(const Training& t, std::span<const Input> towers) {
  return towers.front().rows() / t.model->views(0);
}

struct Cost {
  double seconds = 0, bytes = 0;
  simclr::Traffic sent = {};
};

/// Of a step on these inputs, without the update: of the slowest rank. The first one, which allocates, does not count;
/// of a few short ones the fastest does, as other programs run too.
Cost cost_of(Training& t, std::span<const Input> towers) {
  auto& allocator = simclr::Context::of(t.compute.device).allocator();
  const auto step = [&] {
    const Tensor loss = t.loss_of(towers);
    nn::backward(*t.world, loss, *t.optimizer, bucket_bytes(t.compute.device));
    t.optimizer->zero_grad();
    return loss.item();  // waits
  };
  step();
  allocator.reset_peak();
  Cost cost{.seconds = HUGE_VAL};
  const auto begin = Clock::now();
  for (int i = 0; i < 5 && (i == 0 || greatest_of_ranks(*t.world, seconds_since(begin)) < 3); ++i) {
    const simclr::Traffic before = t.world->traffic();
    const auto start = Clock::now();
    step();
    const double seconds = greatest_of_ranks(*t.world, seconds_since(start));
    if (seconds >= cost.seconds) continue;
    cost.seconds = seconds;
    cost.sent = t.world->traffic() - before;
  }
  cost.bytes = static_cast<double>(allocator.stats().peak);
  return cost;
}

/// The records' gradients become those of all ranks' samples.
void add_up_gradients(Training& t, std::span<const Input> towers, std::vector<nn::ParameterRecord>& records) {
  if (t.world->size() == 1) return;
  t.loss_of(towers).backward();
  t.world->all_reduce(t.optimizer->gradients());
  const auto parameters = t.model->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& gradient = parameters[i].value.grad();
    if (gradient.defined()) records[i].gradient = nn::statistics_of(gradient);
  }
  t.optimizer->zero_grad();
}

}  // namespace

std::vector<Input> first_samples(const nn::Model& model, std::span<const Input> towers, std::int64_t samples) {
  std::vector<Input> first;
  for (std::size_t t = 0; t < towers.size(); ++t) {
    first.push_back(nn::rows_of_samples(towers[t], 0, samples, model.views(static_cast<int>(t))));
  }
  return first;
}

std::optional<double> view_difference(const Tensor& views, int views_each) {
  if (views_each < 2) return std::nullopt;
  const bool numbers = simclr::is_floating(views.dtype());
  const auto x = views.to_vector<double>();
  const auto n = static_cast<std::size_t>(views.dim(0) / views_each);
  const std::size_t view = x.size() / static_cast<std::size_t>(views.dim(0));
  const auto distance = [&](std::size_t a, std::size_t b) {
    double total = 0;
    for (std::size_t i = 0; i < view; ++i) {
      const double apart = x[a * view + i] - x[b * view + i];
      total += numbers ? apart * apart : apart != 0 ? 1 : 0;
    }
    return total;
  };
  double same = 0, different = 0;
  for (std::size_t i = 0; i < n; ++i) {
    same += distance(i, n + i);
    different += distance(i, n + (i + 1) % n);
  }
  return different > 0 ? same / different : 0;
}

std::int64_t samples_within(Training& t, std::span<const Input> towers, std::int64_t most, double seconds) {
  const std::int64_t few = std::min<std::int64_t>(most, 8);
  const double each = cost_of(t, first_samples(*t.model, towers, few)).seconds / static_cast<double>(few);
  std::int64_t samples = few;
  while (2 * samples <= most && each * static_cast<double>(2 * samples) <= seconds) samples *= 2;
  return each * static_cast<double>(most) <= seconds ? most : samples;
}

OverfitFigures overfit(Training& t, std::span<const Input> towers, double seconds) {
  constexpr int least_steps = 10, most_steps = 50, rising = 5;
  OverfitFigures figures;
  const std::int64_t own = samples_of(t, towers);
  figures.samples = t.world->size() * own;
  nn::Schedule schedule;
  const float peak = *std::max_element(t.schedule.rates.begin(), t.schedule.rates.end());
  for (int i = 1; i <= rising; ++i) schedule.rates.push_back(peak * static_cast<float>(i) / rising);
  t.optimizer.reset();  // its memory serves the next one
  t.optimizer = make_optimizer(t.options.recipe, *t.model, schedule);

  const auto similarities = [&] {
    const simclr::NoGrad no_grad;
    std::vector<Tensor> z;
    for (int i = 0; i < t.model->towers(); ++i) z.push_back(t.model->tower(i)(towers[static_cast<std::size_t>(i)]));
    return similarities_of(z, own);
  };
  const auto inspect = [&] { return nn::inspect(*t.model, [&] { return t.loss_of(towers); }); };
  const auto first = inspect();
  figures.gradients = first.parameters;
  figures.nonfinite = first_text(t.world.get(), first.nonfinite);
  if (!figures.nonfinite.empty()) return figures;
  add_up_gradients(t, towers, figures.gradients);
  figures.before = similarities();
  const auto start = Clock::now();
  const auto passed = [&] { return greatest_of_ranks(*t.world, seconds_since(start)); };
  for (int step = 0; step < most_steps && (step < least_steps || passed() < seconds); ++step) {
    const Tensor loss = t.loss_of(towers);
    loss.backward();
    t.world->all_reduce(t.optimizer->gradients());
    t.optimizer->step(loss);
    if (t.optimizer->bad_step() >= 0) {
      figures.nonfinite = first_text(t.world.get(), inspect().nonfinite);
      return figures;
    }
    figures.losses.push_back(loss.item());
  }
  figures.after = similarities();
  const simclr::NoGrad no_grad;
  figures.collapse =
      judged(nn::check_collapse(t.model->encoder()(towers.front()).to(Device{}).to(DType::f32)), t.options.recipe);
  return figures;
}

CostFigures measure_cost(Training& t, std::span<const Input> towers, double views_seconds) {
  constexpr double most_seconds = 5;  // for a whole step
  const std::int64_t samples = samples_of(t, towers);
  CostFigures figures;
  figures.views_seconds = views_seconds;
  if (t.compute.device.type == simclr::DeviceType::cpu) {
    figures.free_bytes = static_cast<double>(simclr::data::free_memory()) / t.world->local_size();
  }
  try {
    const std::int64_t part = samples_within(t, towers, samples, most_seconds);
    const Cost cost = cost_of(t, first_samples(*t.model, towers, part));
    figures.step_seconds = cost.seconds;
    figures.peak_bytes = cost.bytes;
    figures.sent = cost.sent;
    figures.sending = cost.sent.seconds / cost.seconds;
    if (part < samples) {  // both are a constant and a part that grows with the batch, memory up to the micro-batch
      const std::int64_t half = std::max<std::int64_t>(part / 2, 2), micro = t.options.micro_batch;
      const Cost less = cost_of(t, first_samples(*t.model, towers, half));
      const auto grown = [&](double from, double to, std::int64_t more) {
        return to + std::max(to - from, 0.0) * static_cast<double>(more) /
                        static_cast<double>(std::max<std::int64_t>(part - half, 1));
      };
      figures.step_seconds = grown(less.seconds, cost.seconds, samples - part);
      if (part <= micro) figures.step_seconds *= 4.0 / 3;  // these ran forward once
      figures.peak_bytes = grown(less.bytes, cost.bytes, (micro > 0 ? std::max(micro, part) : samples) - part);
      figures.measured = false;
    }
  } catch (const simclr::OutOfMemory& error) {
    if (t.world->size() > 1) explain_out_of_memory(t, error);
    figures.failed = error.what();
    figures.fitting = find_micro_batch(t);
  } catch (const simclr::Error& error) {
    if (t.world->size() > 1) throw;  // the others are in the midst of a step
    figures.failed = error.what();
  }
  return figures;
}
