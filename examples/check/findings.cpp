// What looks wrong: every threshold of --check, with its reason.
#include "check/check.h"

#include "run/progress.h"

#include <algorithm>
#include <cmath>

namespace nn = simclr::nn;

namespace {

struct Judge {
  const Training& t;
  const CheckFigures& f;
  Findings found;

  const Recipe& r = t.options.recipe;
  const std::string& sample = t.sets.sample_name;

  void say(std::string about, std::string problem, std::string remedy) {
    found.push_back({std::move(about), std::move(problem), std::move(remedy)});
  }

  void loss() {
    if (r.method == "supervised") return;  // it has no temperature and no negatives
    if (r.temperature > 1) {
      say("temperature",
          "at " + rounded(r.temperature) + " the loss can only fall from " + rounded(t.model->chance(r.batch_size)) +
              " to " + rounded(t.model->bound(r.batch_size)) + " however good the encoder is: similar and different " +
              sample + "s weigh nearly the same",
          "--temperature 0.2 to 0.5");
    }
    if (r.temperature < 0.05) {
      say("temperature",
          "at " + rounded(r.temperature) + " only the single most similar " + sample +
              " counts, and its noise is amplified " + rounded(1 / r.temperature) + " times",
          "--temperature 0.1 to 0.5");
    }
    if (r.batch_size < 64) {
      const std::int64_t there = t.sets.train->size();
      say("batch size",
          std::to_string(r.batch_size) + " " + sample + "s give each view only " +
              std::to_string(t.model->views(0) * (r.batch_size - 1)) + " others" +
              (r.method == "supcon" ? ", less those of its class," : "") + " to be told from",
          there >= 128 ? "--batch-size 128 or more"
                       : "more " + sample + "s: there are only " + std::to_string(there) + " to train on");
    }
  }

  void learning_rate() {
    const double peak = double{*std::max_element(t.schedule.rates.begin(), t.schedule.rates.end())};
    const OptimizerKind& usual = optimizer_of(r);
    const std::string compare = "; usual for " + r.optimizer + " is --lr " + usual.usual_lr;
    const auto& o = f.overfit;
    const std::string at = "at the run's highest learning rate, " + rounded(peak) + ", ";
    const double first = o.losses.empty() ? 0 : o.losses.front();
    const double best = o.losses.empty() ? 0 : *std::min_element(o.losses.begin(), o.losses.end());
    const double last = last_loss(o.losses);
    const double range = first - t.model->bound(o.samples);
    if (!o.nonfinite.empty()) {
      say("learning rate", at + "training on one batch ends in NaN or Inf: " + o.nonfinite,
          "a lower --lr than " + rounded(r.lr) + compare);
    } else if (last > first || last - best > 0.3 * std::max(first - best, 0.0) + 0.1 * range) {
      say("learning rate",
          at + "training on one batch does not get better steadily: the loss goes from " + rounded(first) + " to " +
              rounded(last) + ", its best being " + rounded(best),
          "a lower --lr than " + rounded(r.lr) + compare);
    } else if (first - last < 0.02 * range) {
      say("learning rate",
          at + "the loss hardly moves on one batch: from " + rounded(first) + " to " + rounded(last) + " in " +
              std::to_string(o.losses.size()) + " steps",
          "a higher --lr than " + rounded(r.lr) + compare);
    } else if (r.lr < usual.least_lr || r.lr > usual.most_lr) {
      say("learning rate", "--lr " + rounded(r.lr) + " is far from what is usual",
          std::string("--lr ") + usual.usual_lr + " for " + r.optimizer);
    }
    if (o.nonfinite.empty() && o.collapse.collapsed) {
      say("collapse", "after training on one batch the " + o.collapse.message, "a lower --lr than " + rounded(r.lr));
    }
  }

  /// The mean of the last fifth: single steps jump.
  static double last_loss(const std::vector<double>& losses) {
    const std::size_t count = std::max<std::size_t>(1, losses.size() / 5);
    double sum = 0;
    for (std::size_t i = losses.size() - std::min(count, losses.size()); i < losses.size(); ++i) sum += losses[i];
    return losses.empty() ? 0 : sum / static_cast<double>(count);
  }

  void gradients() {
    std::vector<double> ratios;
    for (const auto& p : f.overfit.gradients) {
      if (p.role == nn::Role::weight && p.value.norm > 0) ratios.push_back(p.gradient.norm / p.value.norm);
    }
    if (ratios.empty() || !f.overfit.nonfinite.empty()) return;
    std::sort(ratios.begin(), ratios.end());
    const double middle = ratios[ratios.size() / 2];
    for (const auto& p : f.overfit.gradients) {
      if (p.role != nn::Role::weight || p.value.norm == 0) continue;
      const double ratio = p.gradient.norm / p.value.norm;
      const bool vanishes = ratio < 1e-3 * middle || p.gradient.norm == 0;
      if (!vanishes && ratio <= 1e3 * middle) continue;
      say("gradients",
          "the gradient of " + p.name + (vanishes ? " vanishes" : " explodes") + ": " + rounded(ratio) +
              " of the weights, where the middle layer has " + rounded(middle),
          "look at the layers beside it, and at normalisation and temperature");
      return;
    }
  }

  void cost() {
    const CostFigures& c = f.cost;
    const std::string smaller = t.modality->smaller();
    if (!c.failed.empty()) {
      say("memory", "a step of " + std::to_string(r.batch_size) + " " + sample + "s fails: " + c.failed,
          c.fitting.samples > 0 ? c.fitting.remedy(smaller)
                                : "a smaller --batch-size" + (smaller.empty() ? "" : ", " + smaller));
    } else if (c.free_bytes > 0 && c.peak_bytes > c.free_bytes) {
      const std::int64_t at_a_time = t.options.micro_batch > 0 ? t.options.micro_batch : r.batch_size / t.world->size();
      const double share = c.free_bytes / c.peak_bytes * static_cast<double>(at_a_time);
      const double fitting = std::exp2(std::max(1.0, std::floor(std::log2(share))));
      say("memory",
          "a step needs about " + rounded(c.peak_bytes / 1e9) + " GB, and " + rounded(c.free_bytes / 1e9) +
              " GB are free",
          "--micro-batch " + rounded(fitting) + " or less" + (smaller.empty() ? "" : ", or a smaller " + smaller));
    }
  }
};

}  // namespace

Findings findings_of(const Training& training, const CheckFigures& figures, Findings looked) {
  Judge judge{training, figures, std::move(looked)};
  const auto usable = [&] {
    return std::none_of(judge.found.begin(), judge.found.end(), [](const Finding& each) { return each.unusable; });
  };
  judge.loss();
  if (usable()) judge.learning_rate();  // else it would be blamed for the views
  judge.gradients();
  judge.cost();
  return std::move(judge.found);
}
