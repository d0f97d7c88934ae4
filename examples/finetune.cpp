// Trains a pre-trained encoder and a linear classifier on 1, 10 and 100 % of a data set's labels; with --from-scratch
// also the same network from random weights, which shows what the pre-training is worth.
#include "modalities/kinds.h"
#include "modalities/pair_sides.h"
#include "modalities/picture_rows.h"
#include "run/command_line.h"
#include "run/option_file.h"
#include "run/option_line.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "run/shared_rows.h"
#include "run/stop_request.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"
#include "train/labelled_part.h"
#include "train/run_data.h"
#include "train/test_part.h"
#include "train/training_step.h"
#include "train/view_source.h"

#include <simclr/simclr.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace data = simclr::data;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

struct Options {
  std::string weights, side = "none", out;
  LabelledPlace place;
  std::vector<double> percents = {1, 10, 100};
  bool from_scratch = false, overwrite = false;
  int epochs = 0;  // 0: as epochs_for() says
  double lr = 0.05, weight_decay = 5e-4, crop_min = usual_crop_min;
  std::uint64_t seed = 0;
  ComputeOptions compute;
};

OptionTable option_table(Options& o) {
  OptionTable table;
  add_place_rows(table, o.place);
  table.group("");
  add_side_row(table, o.side);
  add_labels_row(table, o.percents);
  table.flag("from-scratch", "", o.from_scratch, "Train the same network from random weights, too, to compare");
  table.add("epochs", o.epochs, "0: 100 / sqrt(percent): 100 with 1 % of the labels, 10 with all").at_least(0);
  table.add("lr", o.lr, "Learning rate at 256 samples a batch; falls to 0 along a half cosine").above(0);
  table.add("weight-decay", o.weight_decay, "On weights, not on biases and batch norms").at_least(0);
  add_crop_min_row(table, o.crop_min);
  add_seed_row(table, o.seed, "Of the choice of labels, new weights, order and views");
  table.add("out", o.out, "Folder for config.json, log.jsonl and weights. Unset: runs/finetune-<data>-<time>")
      .command_line_only();
  table.flag("overwrite", "", o.overwrite, "Use the folder even if it holds a run, which is lost").command_line_only();
  add_compute_rows(table, o.compute);
  table.rule([&o](const OptionTable&) { check_percents(o.percents); });
  table.rule([&o](const OptionTable& rows) {
    SIMCLR_CHECK(o.compute.batch_size > 1, rows.said(o.compute.batch_size),
                 ": training needs at least 2 samples a batch, as batch norm takes its statistics from them; 64 is "
                 "the default");
  });
  return table;
}

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app("Trains a pre-trained encoder with a linear classifier on few or all labels of a data set.", "finetune");
  app.add_option("weights", o.weights, "A run's folder, a checkpoint or a weights file")->required();
  OptionTable table = option_table(o);
  return parse(app, table, argc, argv);
}

/// More passes over fewer samples, though fewer steps.
int epochs_for(double percent) {
  return static_cast<int>(std::lround(100 / std::sqrt(percent)));
}

/// An encoder and a linear layer on its features: views [N,...] -> logits [N,classes].
class Classifier : public nn::Module {
 public:
  Classifier(std::shared_ptr<nn::Module> encoder, std::int64_t classes, std::uint64_t seed)
      : encoder_(add_module("encoder", std::move(encoder))) {
    linear_ =
        add_module("classifier",
                   std::make_shared<nn::Linear>(nn::LinearOptions{.in = encoder_->output_features(), .out = classes}));
    linear_->initialize(seed);
  }
  Tensor forward(const simclr::Input& input) override { return linear_->forward(encoder_->forward(input)); }

 private:
  std::shared_ptr<nn::Module> encoder_;
  std::shared_ptr<nn::Linear> linear_;
};

/// What is trained on: a part of the labels, and for how long.
struct Task {
  double percent = 100;
  std::shared_ptr<const data::Dataset> samples;
  std::int64_t batch_size = 0;
  int epochs = 0;
};

/// Near `asked`, and such that no batch is of one sample, with which batch norm can do nothing: of 65 samples batches
/// of 64 would leave one over.
std::int64_t batch_size_for(std::int64_t samples, std::int64_t asked) {
  std::int64_t size = std::min(asked, samples);
  while (samples % size == 1) ++size;
  return size;
}

/// Everything that one training reads and writes.
struct Session {
  const Options& options;
  const EncoderFile& file;
  const Kind& kind;
  const Modality& modality;
  const Datasets& sets;
  simclr::Device device;
  RunFolder& run;
  Progress& progress;
  const std::function<void(const std::string&)>& warn;
  std::vector<std::string>& saved;  // files of classifiers that were trained to their end
};

/// Of samples that can be read, as `readable` has them: of few a loader would give up where more than half cannot.
Task make_task(const Session& session, double percent, const std::vector<std::int64_t>& readable) {
  const Options& o = session.options;
  auto part = labelled_part(labels_of(*session.sets.train), percent, o.seed);
  const std::int64_t all = std::ssize(part);
  std::erase_if(part, [&](auto i) { return !std::binary_search(readable.begin(), readable.end(), i); });
  const auto samples = data::subset(session.sets.train, part);
  const std::string unread =
      unread_text(percent_text(percent) + " %: trained on", samples->size(), all, session.kind.sample());
  if (!unread.empty()) session.progress.message(unread);
  const std::int64_t count = samples->size();
  SIMCLR_CHECK(count >= 2, "--labels ", percent, ": leaves ", counted(count, session.kind.sample()),
               unread.empty() ? "" : " that can be read", "; at least 2 are needed");
  return {percent, samples, batch_size_for(count, o.compute.batch_size), o.epochs > 0 ? o.epochs : epochs_for(percent)};
}

/// Shows and logs a training, as RunRecorder does a run's.
class Recorder {
 public:
  Recorder(const Session& session, const Task& task, bool pretrained, std::int64_t batches,
           const nn::Schedule& schedule, const nn::Optimizer& optimizer)
      : session_(session), task_(task), pretrained_(pretrained), schedule_(schedule), optimizer_(optimizer) {
    shown_ = {.what = percent_text(task.percent) + " % " + (pretrained ? "pre-trained  " : "from scratch  "),
              .epochs = task.epochs,
              .steps = batches};
  }

  void begin_epoch() {
    ++shown_.epoch;
    shown_.step = 0;
    sum_ = 0;
  }

  void after_step(TrainingStep& step, std::int64_t samples) {
    sizes_.push_back(samples);
    if (step.full()) record(step);
  }

  void end_epoch(TrainingStep& step) {
    record(step);
    session_.progress.show(shown_, shown_.epoch == shown_.epochs);
    session_.run.log({{"event", "epoch"},
                      {"percent", task_.percent},
                      {"pretrained", pretrained_},
                      {"epoch", shown_.epoch},
                      {"loss", sum_ / static_cast<double>(task_.samples->size())}});
  }

 private:
  void record(TrainingStep& step) {
    const std::vector<float> losses = step.take_losses();
    const std::int64_t bad_step = optimizer_.bad_step();  // none: -1
    for (std::size_t i = 0; i < losses.size(); ++i) {
      shown_.loss = double{losses[i]};
      SIMCLR_CHECK(std::isfinite(shown_.loss), "the loss is ", shown_.loss, " at epoch ", shown_.epoch, "; lower --lr");
      shown_.learning_rate = static_cast<double>(schedule_.at(done_++));
      ++shown_.step;
      sum_ += shown_.loss * static_cast<double>(sizes_[i]);
    }
    SIMCLR_CHECK(bad_step < 0, "a gradient is NaN or Inf at epoch ", shown_.epoch, "; lower --lr");
    if (losses.empty()) return;
    sizes_.clear();
    const double rate = static_cast<double>(done_) / seconds_since(start_);
    shown_.samples_per_second = rate * static_cast<double>(task_.batch_size);
    shown_.seconds_left = static_cast<double>(shown_.epochs * shown_.steps - done_) / rate;
    session_.progress.show(shown_);
  }

  const Session& session_;
  const Task& task_;
  bool pretrained_;
  const nn::Schedule& schedule_;
  const nn::Optimizer& optimizer_;
  Progress::State shown_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<std::int64_t> sizes_;  // of the batches whose losses are outstanding
  std::int64_t done_ = 0;            // steps
  double sum_ = 0;                   // of the epoch's losses, by samples
};

void train(nn::Module& model, const Session& session, const Task& task, bool pretrained) {
  const Options& o = session.options;
  const auto source = host_view_source(
      data::Loader(task.samples, {{.maker = session.kind.light_views(session.options.crop_min), .views = 1}},
                   {.batch_size = task.batch_size,
                    .drop_last = false,  // each label counts
                    .seed = o.seed,
                    .workers = o.compute.workers,
                    .on_warning = session.warn}),
      session.device, simclr::DType::f32);
  const nn::Schedule schedule = nn::warmup_cosine(
      {.peak = o.lr * static_cast<double>(task.batch_size) / 256, .steps = task.epochs * source->batches()});
  nn::Sgd optimizer(model.parameters(),
                    {.momentum = 0.9, .weight_decay = o.weight_decay, .nesterov = true, .decay_norm_and_bias = false},
                    schedule);
  TrainingStep step(session.device, false, [&] {
    const Tensor labels = Tensor::from(source->labels(), {std::ssize(source->labels())}).to(session.device);
    const Tensor loss = nn::cross_entropy(model(source->towers().front()), labels);
    loss.backward();
    optimizer.step(loss);
    return loss;
  });
  Recorder recorder(session, task, pretrained, source->batches(), schedule, optimizer);
  for (int epoch = 0; epoch < task.epochs; ++epoch) {
    source->begin(static_cast<std::uint32_t>(epoch), 0);
    recorder.begin_epoch();
    while (source->next()) {
      step.run();
      const std::int64_t samples = std::ssize(source->labels());
      source->prefetch();
      recorder.after_step(step, samples);
      StopRequest::poll();
    }
    recorder.end_epoch(step);
  }
}

/// The weights that `percent` of the labels gave.
std::string weights_name(double percent) {
  return "labels-" + percent_text(percent) + ".safetensors";
}

void save(const nn::Module& model, const Session& session, const Task& task) {
  const std::string path = session.run.file(weights_name(task.percent));
  nn::check_finite(path, model.state(), ", so it is not written; lower --lr");
  nlohmann::ordered_json classes = nlohmann::ordered_json::array();
  for (const std::string& name : session.sets.train->classes()) classes.push_back(utf8(name));
  const nlohmann::ordered_json finetuned = {
      {"dataset", session.sets.kind}, {"percent", task.percent}, {"classes", classes}};
  nlohmann::ordered_json config = session.file.config;  // of the run that pre-trained it
  if (is_of_pairs(config)) {
    config[only_side_key] = side_names()[static_cast<std::size_t>(side_asked(config, session.options.side))];
  }
  if (const auto begun = config.find(started_in_key); begun != config.end() && begun->is_string()) {
    *begun = started_in_from(begun->get<std::string>(), session.file.path, session.run.path());
  }
  simclr::save_tensors(path, model.state(),
                       {{"format", "simclr"}, {"config", config.dump()}, {"finetuned", finetuned.dump()}});
  session.saved.push_back(weights_name(task.percent));
}

/// Trains one classifier, and returns its accuracy on the test samples.
double train_and_test(const Session& session, const Task& task, bool pretrained) {
  const Options& o = session.options;
  const auto encoder = session.modality.make_encoder(o.seed);
  if (pretrained) encoder->load_state(session.file.encoder->state());
  Classifier model(encoder, static_cast<std::int64_t>(session.sets.train->classes().size()), o.seed);
  model.to(session.device);
  train(model, session, task, pretrained);
  if (pretrained) save(model, session, task);

  EvaluationOptions evaluation;
  evaluation.batch_size = o.compute.batch_size;
  evaluation.workers = o.compute.workers;
  evaluation.poll = StopRequest::poll;
  evaluation.on_warning = session.warn;
  const nn::Features logits = features_of(model, *session.sets.test, session.file.tower, evaluation);
  const nn::Metrics metrics = nn::compute_metrics(logits.values, logits.labels);
  session.run.log({{"event", "evaluation"},
                   {"percent", task.percent},
                   {"pretrained", pretrained},
                   {"samples", task.samples->size()},
                   {"epochs", task.epochs},
                   {"metrics", to_json(metrics)}});
  return metrics.top1;
}

nlohmann::ordered_json to_json(Options o, const EncoderFile& file, const Datasets& sets, const std::string& folder) {
  o.place.dataset = sets.kind;
  o.compute.threads = simclr::threads();  // what 0 came to
  nlohmann::ordered_json json = to_json(option_table(o));
  json["weights"] = utf8(file.path);
  if (const std::string begun = started_in(o.place.data_dir, "", folder); !begun.empty()) json[started_in_key] = begun;
  return json;
}

/// Trains with each part of the labels, and adds a row of figures to `table` for each.
void train_all(const Session& session, std::string& table) {
  const Options& o = session.options;
  const double most = *std::max_element(o.percents.begin(), o.percents.end());  // whose part holds all others
  const auto part = labelled_part(labels_of(*session.sets.train), most, o.seed);
  const PassProgress looked(session.progress, "looking at what is trained on",
                            std::string(session.kind.sample()) + "s");
  const auto readable = readable_samples(*session.sets.train, part, session.warn, StopRequest::poll, looked);
  for (const double percent : o.percents) {
    const Task task = make_task(session, percent, readable);
    char text[64];
    std::snprintf(text, sizeof text, "  %-8s %10lld %14.2f", (percent_text(percent) + " %").c_str(),
                  static_cast<long long>(task.samples->size()), 100 * train_and_test(session, task, true));
    std::string row = text;
    if (o.from_scratch) {
      std::snprintf(text, sizeof text, " %15.2f", 100 * train_and_test(session, task, false));
      row += text;
    }
    table += row + '\n';
  }
}

/// What a stop leaves: whole files, and nothing of the classifier that was being trained.
std::string stopped_text(const Session& session) {
  const std::string folder = session.run.path();
  const std::string kept = session.saved.empty() ? "no classifier was trained to its end, so " + folder + " holds none"
                                                 : simclr::listed(session.saved, session.saved.size()) + " in " +
                                                       folder + (session.saved.size() == 1 ? " is" : " are") + " whole";
  return "stopped; " + kept +
         ", and nothing of another is kept. To begin again choose another --out, or add --overwrite";
}

/// Returns the exit code.
int run(Options o) {
  const simclr::Device device = open_device(o.compute);
  const std::unique_ptr<Kind> kind = kind_of_weights(o.weights, o.side);
  const std::string sample = kind->sample();
  const EncoderFile file = open_side_encoder(o.weights, *kind, o.side);
  kind->light_views(o.crop_min);  // throws for what is not possible
  kind->fill_in(o.place, file, o.weights);
  kind->refuse_in("--out", {o.out}, o.place.dataset, o.place.data_dir);
  SIMCLR_CHECK(!o.overwrite || !lies_in(file.path, o.out), "--out ", o.out, ": holds ", file.path,
               ", which is read here, and --overwrite would remove it; choose another folder");
  Datasets sets = kind->open_labelled(o.place, file);
  cache_where_run_did(sets, file.cache_dir);
  Progress progress;
  const std::function<void(const std::string&)> warn = [&progress](const std::string& text) { progress.warn(text); };
  const std::int64_t tests = sets.test->size();
  sets.test = readable_part(sets.test, warn);
  SIMCLR_CHECK(sets.test->size() > 0, "--data ", o.place.data_dir, ": none of the test ", sample, "s can be read");
  RunFolder folder(o.out, "finetune-" + sets.kind,
                   o.out.empty() ? kind->folders(o.place.dataset, o.place.data_dir) : "");
  SIMCLR_CHECK(!folder.used() || o.overwrite, "--out ", folder.path(),
               " already holds a run; choose another folder, or add --overwrite");
  if (o.overwrite) folder.clear();
  folder.write_config(to_json(o, file, sets, folder.path()));
  if (!sets.note.empty()) std::printf("%s\n", sets.note.c_str());
  std::printf("%s\n%s\nfiles in %s\n", file.description.c_str(), sets.train->describe().c_str(), folder.path().c_str());
  for (const std::string& warning : sets.warnings) progress.warn(warning);
  std::vector<std::string> saved;
  const Session session{o, file, *kind, kind->modality(), sets, device, folder, progress, warn, saved};

  char head[64];
  std::snprintf(head, sizeof head, "  %-8s %10s  pre-trained %%", "labels", (sample + "s").c_str());
  std::string table = head + std::string(o.from_scratch ? "  from scratch %\n" : "\n");
  const StopRequest stop_request;
  try {
    train_all(session, table);
  } catch (const Stopped&) {
    const std::string text = stopped_text(session);
    progress.message(text);
    const int signal = StopRequest::take();
    if (signal == SIGPIPE) std::fprintf(stderr, "finetune: nobody reads the output; %s\n", text.c_str());
    return 128 + signal;
  }
  progress.message(table + unread_text("measured on", sets.test->size(), tests, "test " + sample));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int code = 0;
  const int failed = run_program("finetune", [&] {
    Options options;
    if (parse_options(argc, argv, options)) code = run(options);
  });
  return code != 0 ? code : failed;  // of a stop, where the output is lost, too
}
