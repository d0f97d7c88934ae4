// Pre-trains an image encoder with SimCLR, without labels, then measures what it learned: kNN and linear probe on
// the frozen features, beside the same figures of the untrained encoder.
#include "common/datasets.h"
#include "common/evaluation.h"
#include "common/progress.h"
#include "common/run_folder.h"
#include "common/training_options.h"
#include "common/training_step.h"
#include "common/view_source.h"

#include <simclr/simclr.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>

using simclr::Device;
using simclr::DeviceType;
using simclr::DType;
using simclr::Tensor;
namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::shared_ptr<nn::ResNet> make_encoder(const TrainingOptions& o) {
  const Recipe& r = o.recipe;
  return nn::make_resnet(r.arch,
                         {.stem = r.stem, .width = r.width, .channels = r.augmentation.channels, .seed = o.seed});
}

nn::Schedule make_schedule(const Recipe& r, std::int64_t steps_per_epoch) {
  return nn::warmup_cosine({.peak = static_cast<float>(r.lr * static_cast<double>(r.batch_size) / 256.0),
                            .steps = r.epochs * steps_per_epoch,
                            .warmup_steps = r.warmup_epochs * steps_per_epoch});
}

std::unique_ptr<nn::Optimizer> make_optimizer(const Recipe& r, const nn::Module& model, const nn::Schedule& schedule) {
  if (r.optimizer == "lars") {
    return std::make_unique<nn::Lars>(
        model.parameters(), nn::LarsOptions{.momentum = r.momentum, .weight_decay = r.weight_decay}, schedule);
  }
  if (r.optimizer == "adamw") {
    return std::make_unique<nn::AdamW>(
        model.parameters(), nn::AdamWOptions{.weight_decay = r.weight_decay, .decay_norm_and_bias = false}, schedule);
  }
  return std::make_unique<nn::Sgd>(model.parameters(),
                                   nn::SgdOptions{.momentum = r.momentum, .weight_decay = r.weight_decay}, schedule);
}

/// kNN and a look for collapse while training: a subset, so that it costs little.
void monitor(nn::Module& encoder, const Datasets& sets, const TrainingOptions& o, const EvaluationOptions& evaluation,
             int epoch, RunFolder& run, Progress& progress) {
  const auto train = features_of(encoder, *sets.train, o.recipe.augmentation, evaluation, o.knn_samples);
  const nn::CollapseReport collapse = nn::check_collapse(train.values);
  nlohmann::ordered_json entry = {
      {"event", "knn"}, {"epoch", epoch}, {"effective_rank", collapse.effective_rank}, {"mean_std", collapse.mean_std}};
  std::string line = "epoch " + std::to_string(epoch) + ": ";
  if (sets.test) {
    const auto test = features_of(encoder, *sets.test, o.recipe.augmentation, evaluation, o.knn_samples);
    const auto classes = static_cast<std::int64_t>(sets.train->classes().size());
    const auto scores = nn::knn_scores(train, test.values, classes, evaluation.knn);
    const double top1 = nn::compute_metrics(scores, test.labels).top1;
    entry["top1"] = top1;
    char text[64];
    std::snprintf(text, sizeof text, "kNN %.2f %% on %lld samples, ", 100 * top1,
                  static_cast<long long>(test.labels.size()));
    line += text;
  }
  char text[96];
  std::snprintf(text, sizeof text, "effective rank %.1f of %lld, spread %.2f", collapse.effective_rank,
                static_cast<long long>(train.values.dim(1)), collapse.mean_std);
  progress.message(line + text);
  if (collapse.collapsed) progress.message("warning: " + collapse.message);
  run.log(entry);
}

/// Where and how a run computes.
struct Compute {
  Device device;
  DType dtype = DType::f32;  // of activations; parameters are f32
};

Compute choose_compute(const TrainingOptions& o) {
  Compute c;
  if (o.device == "auto") {
    c.device = simclr::default_device();
    if (c.device.type == DeviceType::cpu) {
      std::printf("training on the CPU: %s\n", simclr::device_problem(DeviceType::cuda).c_str());
    }
  } else {
    c.device = simclr::parse_device(o.device);
    simclr::Context::of(c.device);  // says what is wrong, before anything is read
  }
  const bool gpu = c.device.type != DeviceType::cpu;
  SIMCLR_CHECK(gpu || o.dtype != "bf16", "--dtype bf16: only a GPU computes with it, and this run is on the CPU");
  c.dtype = o.dtype == "bf16" || (o.dtype == "auto" && c.device.type == DeviceType::cuda) ? DType::bf16 : DType::f32;
  return c;
}

/// The training loop. Returns the seconds that it took, evaluations left out.
double train(nn::SimCLR& model, nn::Optimizer& optimizer, const nn::Schedule& schedule, ViewSource& source,
             const Datasets& sets, const TrainingOptions& o, const Compute& compute,
             const EvaluationOptions& evaluation, RunFolder& run, Progress& progress) {
  const Recipe& r = o.recipe;
  TrainingStep step(compute.device, o.graph, [&] {
    const Tensor loss = nn::nt_xent(model(source.views()), {.temperature = r.temperature});
    loss.backward();
    optimizer.step();
    return loss;
  });

  Progress::State state{.epochs = r.epochs,
                        .steps = source.batches(),
                        .chance = nn::nt_xent_chance(r.batch_size),
                        .bound = nn::nt_xent_bound(r.batch_size, r.temperature)};
  double training_seconds = 0;
  for (int epoch = 0; epoch < r.epochs; ++epoch) {
    state.epoch = epoch + 1;
    state.step = 0;
    double loss_sum = 0;
    auto start = Clock::now();
    const auto record = [&] {
      for (const float loss : step.take_losses()) {
        state.learning_rate = schedule.at(epoch * state.steps + state.step);
        ++state.step;
        state.loss = loss;
        SIMCLR_CHECK(std::isfinite(loss), "the loss is ", loss, " at epoch ", state.epoch, ", step ", state.step,
                     "; lower --lr or raise --temperature");
        loss_sum += state.loss;
        run.log({{"event", "step"},
                 {"epoch", state.epoch},
                 {"step", state.step},
                 {"loss", state.loss},
                 {"learning_rate", state.learning_rate}});
      }
      const double total = training_seconds + seconds_since(start);
      const double done = static_cast<double>(epoch * state.steps + state.step);
      state.images_per_second = done * static_cast<double>(r.batch_size) / total;
      state.seconds_left = total / done * (static_cast<double>(r.epochs * state.steps) - done);
      progress.show(state);
    };
    source.begin(static_cast<std::uint32_t>(epoch));
    while (source.next()) {
      step.run();
      if (step.full()) record();
    }
    record();
    training_seconds += seconds_since(start);
    progress.show(state, true);
    run.log({{"event", "epoch"},
             {"epoch", state.epoch},
             {"loss", loss_sum / static_cast<double>(state.steps)},
             {"seconds", training_seconds},
             {"images_per_second", state.images_per_second},
             {"skipped_samples", source.skipped()}});
    const bool evaluated_next = epoch + 1 == r.epochs && o.evaluate;
    if (o.knn_every > 0 && (epoch + 1) % o.knn_every == 0 && !evaluated_next) {
      monitor(model.encoder(), sets, o, evaluation, epoch + 1, run, progress);
    }
  }
  progress.message("trained " + std::to_string(r.epochs) + " epochs in " + duration_text(training_seconds));
  if (source.skipped() > 0) {
    progress.message(std::to_string(source.skipped()) + " samples could not be read and were replaced by others");
  }
  return training_seconds;
}

void run_training(TrainingOptions& o) {
  const Compute compute = choose_compute(o);
  if (o.threads > 0) simclr::set_threads(o.threads);
  Datasets sets = open_datasets(o.dataset, o.data_dir);
  if (!sets.note.empty()) std::printf("%s\n", sets.note.c_str());
  if (o.limit > 0) sets.train = data::spread(sets.train, o.limit);
  Recipe& r = o.recipe;
  SIMCLR_CHECK(sets.train->size() >= r.batch_size, "--batch-size ", r.batch_size, " is more than the ",
               sets.train->size(), " training images; lower it");
  r.augmentation.size = r.size > 0 ? r.size : sets.size;
  r.augmentation.channels = sets.channels;

  nn::SimCLR model({.encoder = make_encoder(o),
                    .head = {.hidden = r.head_hidden,
                             .out = r.head_out,
                             .layers = r.head_layers,
                             .batchnorm = r.head_batchnorm,
                             .seed = o.seed}});
  model.to(compute.device);
  Progress progress;
  const auto warn = [&progress](const std::string& message) { progress.warn(message); };
  const auto source = make_view_source(sets.train, o, compute.device, compute.dtype, warn);
  const nn::Schedule schedule = make_schedule(r, source->batches());
  const auto optimizer = make_optimizer(r, model, schedule);

  RunFolder run(o.out, sets.kind + "-" + r.name, o.overwrite);
  run.write("config.json", to_json(o));
  std::int64_t parameters = 0;
  for (const auto& p : model.parameters()) parameters += p.value.numel();
  std::printf("%s\n%s, width %lld, %.2f million parameters; %d epochs of %lld steps; files in %s\n",
              sets.train->describe().c_str(), r.arch.c_str(), static_cast<long long>(r.width),
              static_cast<double>(parameters) / 1e6, r.epochs, static_cast<long long>(source->batches()),
              run.path().c_str());
  if (compute.device.type == DeviceType::cpu) {
    std::printf("on the CPU, %d threads\n", simclr::threads());
  } else {
    std::printf("on %s in %s, %s, views made %s\n", to_string(compute.device).c_str(), name(compute.dtype),
                o.graph ? "each step one graph" : "without a graph", source->where().c_str());
  }

  EvaluationOptions evaluation;
  evaluation.knn = {.k = o.knn_k, .temperature = o.knn_temperature, .device = compute.device};
  evaluation.probe = {.epochs = o.probe_epochs, .seed = o.seed};
  evaluation.workers = o.workers;
  evaluation.on_warning = warn;
  const double seconds = train(model, *optimizer, schedule, *source, sets, o, compute, evaluation, run, progress);
  simclr::save_tensors(run.file(weights_file), model.state(), {{"format", "simclr"}, {"config", to_json(o).dump()}});

  if (!o.evaluate) return;
  if (!sets.test) {
    const auto features = features_of(model.encoder(), *sets.train, r.augmentation, evaluation, o.knn_samples);
    const auto collapse = nn::check_collapse(features.values);
    std::printf("%s, so no accuracy. %s\n",
                sets.train->classes().empty() ? "no labels" : "too few pictures to hold some out",
                collapse.message.c_str());
    return;
  }
  std::printf("evaluating the trained and the untrained encoder on %lld test images\n",
              static_cast<long long>(sets.test->size()));
  std::fflush(stdout);
  const Evaluation trained = evaluate(model.encoder(), sets, r.augmentation, evaluation);
  const auto fresh = make_encoder(o);
  fresh->to(compute.device);
  const Evaluation untrained = evaluate_untrained(*fresh, sets, r.augmentation, evaluation);
  run.log({{"event", "evaluation"},
           {"training_seconds", seconds},
           {"trained", to_json(trained)},
           {"untrained", to_json(untrained)}});
  std::printf("\n%s", evaluation_table(trained, untrained, sets.train->classes()).c_str());
  if (trained.knn.count < sets.test->size()) {
    std::printf("measured on %lld of %lld test images; the others could not be read\n",
                static_cast<long long>(trained.knn.count), static_cast<long long>(sets.test->size()));
  }
  if (trained.collapse.collapsed) std::printf("warning: %s\n", trained.collapse.message.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    TrainingOptions options;
    if (!parse_command_line(argc, argv, options)) return 0;
    run_training(options);
    return 0;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "train_cifar: %s\n", error.what());
    return 1;
  }
}
