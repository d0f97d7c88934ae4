#include "train/training.h"

#include "run/command_line.h"
#include "run/host.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "train/data_files.h"
#include "train/encoder_file.h"
#include "train/method.h"
#include "train/rank_program.h"
#include "train/ranks.h"
#include "train/shared_work.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/data/subset.h>

#include <algorithm>
#include <filesystem>
#include <utility>

using simclr::DeviceType;
using simclr::DType;
using simclr::Tensor;
namespace data = simclr::data;
namespace nn = simclr::nn;

nn::Schedule make_schedule(const Recipe& r, std::int64_t steps_per_epoch) {
  return nn::warmup_cosine({.peak = static_cast<float>(r.lr * static_cast<double>(r.batch_size) / 256.0),
                            .steps = r.epochs * steps_per_epoch,
                            .warmup_steps = r.warmup_epochs * steps_per_epoch,
                            .warmup = r.warmup,
                            .start = r.warmup_start,
                            .hold = r.schedule_by_epoch ? steps_per_epoch : 1});
}

std::unique_ptr<nn::Optimizer> make_optimizer(const Recipe& r, const nn::Module& model, const nn::Schedule& schedule) {
  auto optimizer = optimizer_of(r).make(r, model, schedule);
  optimizer->clip_gradients(r.clip_grad_norm);
  return optimizer;
}

bool goes_on(const TrainingOptions& o) {
  std::error_code none;
  return o.resume && std::filesystem::exists(std::filesystem::path(o.out) / "config.json", none);
}

Compute choose_compute(const TrainingOptions& o, const simclr::World& world) {
  Compute c;
  c.device = choose_device(o.device, "training", world);
  const bool gpu = c.device.type != DeviceType::cpu;
  SIMCLR_CHECK(gpu || o.dtype != "bf16", "--dtype bf16: only a GPU computes with it, and this run is on the CPU");
  c.dtype = o.dtype == "bf16" || (o.dtype == "auto" && c.device.type == DeviceType::cuda) ? DType::bf16 : DType::f32;
  const bool contrastive = o.recipe.method != "supervised";
  SIMCLR_CHECK(!o.wgmma || contrastive, "--wgmma: --method supervised has no such loss; leave it out");
  SIMCLR_CHECK(!o.wgmma || (gpu && c.dtype == DType::bf16 && o.recipe.head_out <= 256),
               "--wgmma: the tiles for Hopper's tensor cores take bf16 projections of at most 256 values on a GPU of "
               "sm_90, this run computes in ",
               name(c.dtype), " on ", to_string(c.device), " with --head-out ", o.recipe.head_out, "; leave it out");
  SIMCLR_CHECK(!o.wgmma || loss_form(o.recipe).hardness == 0,
               "--wgmma: there are no such tiles for --loss hard; leave out one of them");
  SIMCLR_CHECK(world.size() == 1 || !contrastive || o.recipe.loss != "dclw",
               "--loss dclw: it weighs the pairs of a batch against each "
               "other, which the ",
               world.size(), " processes of this run do not share; use --loss dcl, or one process");
  return c;
}

std::unique_ptr<nn::SimCLR> make_simclr(const TrainingOptions& o, std::shared_ptr<nn::Module> encoder, int views) {
  const Recipe& r = o.recipe;
  return std::make_unique<nn::SimCLR>(
      nn::SimCLROptions{.encoder = std::move(encoder),
                        .head = head_options(r, o.seed),
                        .views_apart = r.views_apart,
                        .loss = {.temperature = r.temperature, .views = views, .wgmma = o.wgmma, .form = loss_form(r)},
                        .classes = o.classes});
}

std::unique_ptr<nn::TwoTowers> make_two_towers(const TrainingOptions& o,
                                               std::array<std::shared_ptr<nn::Module>, 2> encoders,
                                               bool learn_temperature) {
  const Recipe& r = o.recipe;
  SIMCLR_CHECK(!r.views_apart, "--views-apart: a tower of pairs has one view of each sample; leave it out");
  return std::make_unique<nn::TwoTowers>(
      nn::TwoTowersOptions{.encoders = std::move(encoders),
                           .heads = {head_options(r, o.seed), head_options(r, o.seed + 1)},
                           .loss = {.temperature = r.temperature, .wgmma = o.wgmma, .form = loss_form(r)},
                           .learn_temperature = learn_temperature});
}

Tensor Training::loss_of(std::span<const simclr::Input> towers) const {
  return model->loss_of(towers, options.micro_batch);
}

std::unique_ptr<ViewSource> make_view_source(std::shared_ptr<const data::Dataset> samples, const Modality& modality,
                                             const std::string& where, const ViewSourceOptions& o) {
  const bool gpu = o.device.type != DeviceType::cpu;
  if (where == "device" || (where == "auto" && gpu)) {
    ViewSourceOptions there = o;
    there.if_they_fit = where == "auto";
    if (auto source = modality.on_device(*samples, there)) return source;
    SIMCLR_CHECK(where == "auto", "--views-on device: views of this kind of data are made on the host; leave it out");
  }
  return host_view_source(data::Loader(std::move(samples), trained_towers(modality, o.views),
                                       {.batch_size = o.batch_size,
                                        .shard = o.shard,
                                        .shuffle_block = o.shuffle_block,
                                        .seed = o.seed,
                                        .workers = o.workers,
                                        .on_warning = o.on_warning}),
                          o.device, o.dtype);
}

namespace {

/// --limit: of what is trained on, and of what the evaluation learns from where that is the same.
void limit_samples(Datasets& sets, std::int64_t limit) {
  const bool apart = sets.labelled != sets.train;
  const std::vector<std::int64_t> kept = data::spread_indices(sets.train->size(), limit);
  sets.train = data::spread(sets.train, limit);
  if (apart) return;
  sets.labelled = sets.train;
  if (sets.groups.empty()) return;
  std::vector<std::int32_t> groups;
  for (const std::int64_t i : kept) groups.push_back(sets.groups[static_cast<std::size_t>(i)]);
  sets.groups = std::move(groups);
}

/// --hold-out, --limit and the cache, in this order, then what the evaluation learns from.
void shape_sets(Datasets& sets, const TrainingOptions& o) {
  if (o.hold_out > 0) {
    const std::string neither = hold_out(sets, o.hold_out, o.seed);
    if (!neither.empty()) print("%s\n", neither.c_str());
    print("%s held out, to choose the best checkpoint on\n", counted(sets.held_out->size(), sets.sample_name).c_str());
  }
  if (o.limit > 0) limit_samples(sets, o.limit);
  cache_decoded(sets, o.cache_gb, o.cache_path());
  const std::string unlabelled = learn_from_labelled(sets);
  if (!unlabelled.empty()) print("%s\n", unlabelled.c_str());
}

/// Leaves out of what is held out what cannot be read, of which `on_warning` is told.
void read_held_out(Training& t, const std::function<void(const std::string&)>& on_warning) {
  Datasets& sets = t.sets;
  if (!sets.held_out) return;
  sets.held_out = readable_part(sets.held_out, on_warning, {}, t.world.get());
  together(t.world.get(), [&] {
    SIMCLR_CHECK(sets.held_out->size() > 0, "--hold-out ", t.options.hold_out, ": none of the ", sets.sample_name,
                 "s can be read");
  });
}

/// For each rank. A file says how many the machine has had for all.
int threads_asked(const TrainingOptions& o) {
  const auto source = o.sources.find("threads");
  const bool read = source != o.sources.end() && !source->second.empty();
  return read && o.threads > 0 ? std::max(o.threads / o.local_ranks, 1) : o.threads;
}

/// Throws simclr::Error where the model would pair views in another way than they are made.
void check_views(const nn::Model& model, const Modality& modality, int trained) {
  const std::vector<data::Tower> towers = trained_towers(modality, trained);
  SIMCLR_CHECK(model.towers() == static_cast<int>(towers.size()), modality.name(), ": views for ", towers.size(),
               " towers, and a model of ", model.towers());
  for (int i = 0; i < model.towers(); ++i) {
    const int views = towers[static_cast<std::size_t>(i)].views;
    SIMCLR_CHECK(model.views(i) == views, modality.name(), ": ", views, " views of each sample for tower ", i,
                 " of a model that takes ", model.views(i));
  }
}

void open_data(Training& t, const TrainingOptions& options, const std::function<void(const std::string&)>& on_warning) {
  t.compute = choose_compute(options, *t.world);
  t.options.workers = workers_for(t.compute.device, options.workers);
  if (options.resume) take_kept_of_run(options.out, *t.modality);
  t.sets = t.modality->open(t.options);
  if (!t.sets.labelled) t.sets.labelled = t.sets.train;
  t.labels = digest_labels(t.sets);
  t.options.dataset = t.sets.kind;  // not auto: a run that goes on or is repeated finds the same set
  if (!t.sets.note.empty()) print("%s\n", t.sets.note.c_str());
  for (const std::string& warning : t.sets.warnings) {
    if (t.world->rank() == 0) on_warning(warning);
  }
  shape_sets(t.sets, options);
}

/// Whether nothing is left to train of a run that goes on: it has its weights.
bool is_trained(const TrainingOptions& o) {
  std::error_code none;
  return goes_on(o) && !o.check && std::filesystem::exists(std::filesystem::path(o.out) / weights_file, none);
}

/// Called once all ranks have opened their data and share their caches, for views on a GPU read all samples here.
void open_model(Training& t, const TrainingOptions& options,
                const std::function<void(const std::string&)>& on_warning) {
  const Recipe& r = t.options.recipe;
  SIMCLR_CHECK(t.sets.train->size() >= r.batch_size, "--batch-size ", r.batch_size, " is more than the ",
               t.sets.train->size(), " training ", t.sets.sample_name, t.sets.train->size() == 1 ? "" : "s",
               "; lower it (", t.sets.train->describe(), ")");
  // Of a run that is trained nothing is read, and its ranks may be any number.
  const bool whole = is_trained(options) && r.batch_size % t.world->size() != 0;
  const data::Shard shard = whole ? data::Shard{} : data::Shard{t.world->rank(), t.world->size()};
  if (goes_on(options) && !whole) check_number_of_ranks(*t.world, r.batch_size);
  check(shard, r.batch_size, "--batch-size");

  const std::shared_ptr<const data::Dataset> samples = trained_samples(t.sets, t.options);
  t.model = t.modality->make_model(t.options);
  check_views(*t.model, *t.modality, trained_views(r));
  t.model->to(t.compute.device);
  t.model->set_world(t.world.get());
  t.source = make_view_source(samples, *t.modality, options.views_on,
                              {.batch_size = r.batch_size,
                               .shard = shard,
                               .views = trained_views(r),
                               .seed = options.seed,
                               .shuffle_block = options.shuffle_block,
                               .workers = t.options.workers,
                               .device = t.compute.device,
                               .dtype = t.compute.dtype,
                               .on_warning = on_warning});
  t.schedule = make_schedule(r, t.source->batches());
  t.optimizer = make_optimizer(r, *t.model, t.schedule);
}

}  // namespace

Training make_training(const TrainingOptions& options, Modality& modality,
                       const std::function<void(const std::string&)>& on_warning,
                       std::shared_ptr<simclr::World> world) {
  Training t;
  t.options = options;
  t.modality = &modality;
  t.world = std::move(world);
  t.options.local_ranks = t.world->local_size();
  set_threads_of_rank(*t.world, threads_asked(t.options), on_warning);
  together(t.world.get(), [&] { open_data(t, options, on_warning); });
  require_same_run(t);
  share_caches(t.sets, *t.world);
  together(t.world.get(), [&] { open_model(t, options, on_warning); });
  read_held_out(t, on_warning);
  return t;
}
