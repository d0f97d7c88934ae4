#include "check/check.h"

#include "run/progress.h"
#include "run/run_folder.h"
#include "train/report_material.h"

#include <simclr/nn/losses.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

using simclr::Tensor;
namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

constexpr std::int64_t most_images = 64;    // of the batch that is trained on again and again
constexpr double overfit_seconds = 25;      // on it
constexpr double overfit_step_seconds = 1;  // fewer pictures where a step takes longer

/// Draws `picture` into the square at (top, left), whole and centred, by its nearest pixels so that they can be
/// counted.
void draw(data::Picture& sheet, int top, int left, int side, const data::Picture& picture) {
  const int longest = std::max(picture.height, picture.width);
  const int height = std::max(1, side * picture.height / longest), width = std::max(1, side * picture.width / longest);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int from = y * picture.height / height * picture.width + x * picture.width / width;
      const int to = (top + (side - height) / 2 + y) * sheet.width + left + (side - width) / 2 + x;
      for (int c = 0; c < 3; ++c) {
        sheet.pixels[static_cast<std::size_t>(3 * to + c)] =
            picture.pixels[static_cast<std::size_t>(picture.channels * from + (picture.channels < 3 ? 0 : c))];
      }
    }
  }
}

/// A row a picture: the picture and its two views, in `path` or the first free name after it. Returns what to say of
/// it: a check has more to tell than this sheet.
std::string write_views(const std::string& path, const Training& t) {
  constexpr int side = 96, gap = 6, rows = 8;
  const auto all = make_views(*t.sets.train, t.options.recipe.augmentation, t.options.seed, rows);
  data::Picture sheet{.height = static_cast<int>(all.size()) * (side + gap) + gap,
                      .width = 3 * (side + gap) + gap,
                      .channels = 3,
                      .pixels = {}};
  sheet.pixels.assign(std::size_t{3} * static_cast<std::size_t>(sheet.height) * static_cast<std::size_t>(sheet.width),
                      255);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int top = gap + static_cast<int>(i) * (side + gap);
    draw(sheet, top, gap, side, all[i].original.picture);
    for (std::size_t v = 0; v < 2; ++v) {
      draw(sheet, top, gap + static_cast<int>(v + 1) * (side + gap), side, all[i].views[v]);
    }
  }
  for (;;) {
    const std::string free = free_name(path);
    try {
      data::write_png(free, sheet, simclr::Existing::keep);
      return "look at them in " + free + ": each picture and its two views";
    } catch (const simclr::FileExists&) {  // another process has taken the name in between
    } catch (const simclr::Error& error) {
      return "they cannot be drawn: " + std::string(error.what());
    }
  }
}

void print_overfit(const OverfitFigures& o, const Training& t) {
  if (o.losses.empty()) return;
  std::printf("one batch of %lld pictures, %zu steps: loss %.3f -> %.3f (chance %.2f, bound %.2f)\n",
              static_cast<long long>(o.images), o.losses.size(), o.losses.front(), o.losses.back(),
              nn::nt_xent_chance(o.images), nn::nt_xent_bound(o.images, t.options.recipe.temperature));
  if (!o.nonfinite.empty()) return;
  std::printf("  similarity of a picture's two views %.2f -> %.2f, of different pictures %.2f -> %.2f\n",
              o.before.positive, o.after.positive, o.before.negative, o.after.negative);
  std::printf("  %s\n", o.collapse.message.c_str());
}

void print_gradients(const OverfitFigures& o) {
  std::printf("gradients of the first step, by layer:\n  %-42s %10s %10s %10s\n", "", "weights", "gradient", "ratio");
  for (const auto& p : o.gradients) {
    if (p.role != nn::Role::weight) continue;
    std::printf("  %-42s %10.3g %10.3g %10.3g\n", p.name.c_str(), p.value.norm, p.gradient.norm,
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
  // Evaluating runs every picture through two encoders, forward only: a third of a step's work for each view.
  const auto pictures = static_cast<double>(t.sets.train->size() + (t.sets.test ? t.sets.test->size() : 0));
  const double evaluation =
      t.options.evaluate ? 2 * pictures * c.step_seconds / (3.0 * 2.0 * static_cast<double>(r.batch_size)) : 0.0;
  const char* how = c.measured ? "measured" : "reckoned from smaller batches";
  std::printf("time: %.3g s a step (%s), %s of %s: about %s, and %s to evaluate\n", step, how,
              counted(r.epochs, "epoch").c_str(), counted(t.steps_per_epoch(), "step").c_str(),
              duration_text(training).c_str(), duration_text(evaluation).c_str());
  std::printf("memory: %.2f GB on %s at the peak (%s)\n", c.peak_bytes / 1e9, to_string(t.compute.device).c_str(), how);
}

}  // namespace

int check_run(const TrainingOptions& options, const std::function<void(const std::string&)>& on_warning) {
  SIMCLR_CHECK(options.out.empty() || !lies_in(options.out, options.data_dir), "--out ", options.out,
               ": lies in the data's folder, and a picture that is written there becomes data; choose another");
  if (!options.out.empty()) make_folder(options.out);
  Training t = make_training(options, on_warning);
  const Recipe& r = t.options.recipe;
  std::printf("checking %s\n", t.sets.train->describe().c_str());
  const std::string path = options.out.empty() ? "check-views.png" : options.out + "/check-views.png";
  const std::string sheet = lies_in(path, options.data_dir) ? "they are not drawn among the data: --out DIR says where"
                                                            : write_views(path, t);

  CheckFigures figures;
  figures.pictures = look_at_pictures(t);
  const auto start = std::chrono::steady_clock::now();
  t.source->begin(0, 0);
  SIMCLR_CHECK(t.source->next(), "--batch-size ", r.batch_size, ": there is no batch");
  const simclr::Input views = t.source->towers().front().clone();
  const double views_seconds = seconds_since(start);
  figures.views = look_at_views(nn::rows_of_samples(views, 0, std::min(r.batch_size, most_images)).x,
                                std::min(r.batch_size, most_images));
  std::string statistics;
  for (std::size_t c = 0; c < figures.views.mean.size(); ++c) {
    char text[48];
    std::snprintf(text, sizeof text, "%s%.2f +- %.2f", c == 0 ? "" : ", ", figures.views.mean[c],
                  figures.views.stddev[c]);
    statistics += text;
  }
  std::printf("views: %d x %d, channels %s; %s\n", r.augmentation.size, r.augmentation.size, statistics.c_str(),
              sheet.c_str());
  if (figures.pictures.grey && t.sets.channels == 3) {
    std::printf("  the pictures are grey, so hue, saturation and grayscale change nothing\n");
  }
  std::fflush(stdout);

  const std::int64_t images = images_within(t, views, std::min(r.batch_size, most_images), overfit_step_seconds);
  figures.overfit = overfit(t, nn::rows_of_samples(views, 0, images), overfit_seconds);
  print_overfit(figures.overfit, t);
  print_gradients(figures.overfit);
  std::fflush(stdout);
  figures.cost = measure_cost(t, views, views_seconds);
  print_cost(figures.cost, t);

  const auto found = findings_of(t, figures);
  if (found.empty()) {
    std::printf("looks fine\n");
    return 0;
  }
  std::printf("\n%zu thing%s look%s wrong:\n", found.size(), found.size() == 1 ? "" : "s",
              found.size() == 1 ? "s" : "");
  for (const Finding& finding : found) {
    std::printf("- %s: %s\n  try: %s\n", finding.about.c_str(), finding.problem.c_str(), finding.remedy.c_str());
  }
  return 1;
}
