#include "check/check.h"

#include "run/host.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "run/stop_request.h"
#include "train/ranks.h"
#include "train/shared_work.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

using simclr::Tensor;
namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

constexpr std::int64_t most_samples = 64;   // of the batch that is trained on again and again
constexpr double overfit_seconds = 25;      // on it
constexpr double overfit_step_seconds = 1;  // fewer samples where a step takes longer

void print_overfit(const OverfitFigures& o, const Training& t) {
  if (o.losses.empty()) return;
  const std::string& sample = t.sets.sample_name;
  print("one batch of %s, %zu steps: loss %.3f -> %.3f (chance %.2f, bound %.2f)\n", counted(o.samples, sample).c_str(),
        o.losses.size(), o.losses.front(), o.losses.back(), t.model->chance(o.samples), t.model->bound(o.samples));
  if (!o.nonfinite.empty()) return;
  if (t.model->towers() > 1 || t.model->views() > 1) {
    print("  similarity of a %s's two %s %.2f -> %.2f, of different %ss %.2f -> %.2f\n", sample.c_str(),
          t.model->towers() == 1 ? "views" : "parts", o.before.positive, o.after.positive, sample.c_str(),
          o.before.negative, o.after.negative);
  }
  print("  %s\n", o.collapse.message.c_str());
}

void print_gradients(const OverfitFigures& o) {
  print("gradients of the first step, by layer:\n  %-42s %10s %10s %10s\n", "", "weights", "gradient", "ratio");
  for (const auto& p : o.gradients) {
    if (p.role != nn::Role::weight) continue;
    print("  %-42s %10.3g %10.3g %10.3g\n", p.name.c_str(), p.value.norm, p.gradient.norm,
          p.value.norm > 0 ? p.gradient.norm / p.value.norm : 0.0);
  }
}

void print_cost(const CostFigures& c, const Training& t) {
  if (!c.failed.empty()) return;
  const Recipe& r = t.options.recipe;
  // On the CPU the views are made by the cores that the step runs on; a GPU goes on beside them.
  const bool cpu = t.compute.device.type == simclr::DeviceType::cpu;
  const int cores = simclr::threads(), making = t.options.workers > 0 ? std::min(t.options.workers, cores) : cores;
  const double step =  // views_seconds kept `making` of the cores busy
      cpu ? c.step_seconds + c.views_seconds * making / cores : std::max(c.step_seconds, c.views_seconds);
  const double training = step * static_cast<double>(t.steps());
  // Evaluating runs every sample through two encoders, forward only: a third of a step's work for each view.
  const auto samples = static_cast<double>(t.sets.train->size() + (t.sets.test ? t.sets.test->size() : 0));
  double views = 0;  // of a sample
  for (int i = 0; i < t.model->towers(); ++i) views += t.model->views(i);
  const double evaluation =
      t.options.evaluate ? 2 * samples * c.step_seconds / (3.0 * views * static_cast<double>(r.batch_size)) : 0.0;
  const char* how = c.measured ? "measured" : "reckoned from smaller batches";
  print("time: %.3g s a step (%s), %s of %s: about %s, and %s to evaluate\n", step, how,
        counted(r.epochs, "epoch").c_str(), counted(t.steps_per_epoch(), "step").c_str(),
        duration_text(training).c_str(), duration_text(evaluation).c_str());
  print("memory: %.2f GB on %s at the peak (%s)\n", c.peak_bytes / 1e9, to_string(t.compute.device).c_str(), how);
}

/// Returns the exit code.
int print_findings(const Findings& found) {
  if (found.empty()) {
    print("looks fine\n");
    return 0;
  }
  print("\n%zu thing%s look%s wrong:\n", found.size(), found.size() == 1 ? "" : "s", found.size() == 1 ? "s" : "");
  for (const Finding& finding : found) {
    print("- %s: %s\n  try: %s\n", finding.about.c_str(), finding.problem.c_str(), finding.remedy.c_str());
  }
  return 1;
}

std::vector<simclr::Input> first_batch(const Training& t) {
  t.source->begin(0, 0);
  SIMCLR_CHECK(t.source->next(), "--batch-size ", t.options.recipe.batch_size, ": there is no batch");
  std::vector<simclr::Input> towers;
  for (const simclr::Input& each : t.source->towers()) towers.push_back(each.clone());
  return towers;
}

/// What the modality finds in some samples.
Findings look(const Training& t, std::vector<simclr::Input> towers) {
  for (simclr::Input& each : towers) {
    each = each.to(simclr::Device{});
    if (simclr::is_floating(each.x.dtype())) each.x = each.x.to(simclr::DType::f32);
  }
  const std::string& out = t.options.out;
  const std::string sheet = (out.empty() ? "" : out + "/") + "check-views";
  Findings found;
  t.modality->look(
      {.sets = t.sets,
       .towers = towers,
       .difference = view_difference(towers.front().x, t.model->views(0)),
       .seed = t.options.seed,
       .sheet = sheet,
       .no_sheet = out.empty() && lies_in(sheet, t.modality->folders(t.options.dataset, t.options.data_path()))
                       ? "they are not drawn among the data: --out DIR says where"
                       : ""},
      found);
  return found;
}

}  // namespace

std::string communication(const Training& t, const CostFigures& c) {
  if (t.world->size() == 1 || !c.failed.empty()) return "";
  char text[160];
  std::snprintf(text, sizeof text, "communication: each of %d processes sends %.3g MB a step in %lld calls",
                t.world->size(), static_cast<double>(c.sent.bytes) / 1e6, static_cast<long long>(c.sent.messages));
  // How long those of GPUs take, which are queued, nobody knows.
  if (t.compute.device.type == simclr::DeviceType::cuda) return text;
  char share[80];
  std::snprintf(share, sizeof share, ", %.0f %% of its time, with waiting for the others", 100 * c.sending);
  return std::string(text) + share;
}

int check_run(const TrainingOptions& options, Modality& modality,
              const std::function<void(const std::string&)>& on_warning, const std::shared_ptr<simclr::World>& world) {
  together(world.get(), [&] {
    modality.refuse_in("--out", {options.out}, options.dataset, options.data_path());
    if (!options.out.empty()) make_folder(options.out);
  });
  Training t = make_training(options, modality, on_warning, world);
  print("checking %s\n", t.sets.train->describe().c_str());

  const auto start = std::chrono::steady_clock::now();
  std::vector<simclr::Input> towers;
  together(world.get(), [&] { towers = first_batch(t); });
  const double views_seconds = seconds_since(start);
  const std::int64_t most = std::min(t.options.recipe.batch_size / world->size(), most_samples);
  Findings looked;
  on_first_rank(t, [&] { looked = look(t, first_samples(*t.model, towers, most)); });
  flush_printed();
  StopRequest::poll();  // of a host: a program of its own ends at once

  CheckFigures figures;
  const std::int64_t samples = samples_within(t, towers, most, overfit_step_seconds);
  figures.overfit = overfit(t, first_samples(*t.model, towers, samples), overfit_seconds);
  print_overfit(figures.overfit, t);
  print_gradients(figures.overfit);
  flush_printed();
  StopRequest::poll();
  figures.cost = measure_cost(t, towers, views_seconds);
  print_cost(figures.cost, t);
  if (const std::string said = communication(t, figures.cost); !said.empty()) print("%s\n", said.c_str());
  const int code = print_findings(findings_of(t, figures, std::move(looked)));
  return greatest_of_ranks(*world, world->rank() == 0 ? code : 0);
}
