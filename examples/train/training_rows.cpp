#include "train/training_rows.h"

#include "run/shared_rows.h"

#include <simclr/core/error.h>
#include <simclr/simclr.h>

using simclr::kernels::LarsRule;
using simclr::nn::Warmup;

namespace {

const Names<LarsRule> lars_rule_names = {{"simclr", LarsRule::simclr}, {"bolts", LarsRule::bolts}};
const Names<Warmup> warmup_names = {
    {"above-zero", Warmup::above_zero}, {"from-zero", Warmup::from_zero}, {"from-start", Warmup::from_start}};

constexpr double widest_head = 65536;

void add_head_rows(OptionTable& table, Recipe& r) {
  table.group("Model");
  table.add("head-hidden", r.head_hidden, "Width of the projection head; 0: as the features").between(0, widest_head);
  table.add("head-out", r.head_out, "Dimensions of the projection that the loss sees").between(1, widest_head);
  table.add("head-layers", r.head_layers, "2 (SimCLR) or 3 (SimCLRv2)").between(2, 3);
  table.flag("head-batchnorm", "no-head-batchnorm", r.head_batchnorm,
             "Batch norm behind the head's hidden layers, which then have no bias");
  table.flag("head-last-batchnorm", "no-head-last-batchnorm", r.head_last_batchnorm,
             "Batch norm behind the head's last layer");
  table.flag("head-last-shift", "no-head-last-shift", r.head_last_shift, "It shifts, or scales only");
  table.flag("head-last-bias", "no-head-last-bias", r.head_last_bias, "The head's last layer has a bias");
  table.flag("views-apart", "views-together", r.views_apart,
             "In training batch norm sees the two views of a batch apart, or together");
}

/// What a method has no use for.
void add_method_rules(OptionTable& table, Recipe& r) {
  table.rule([&r](const OptionTable& rows) {
    const bool supcon = r.method == "supcon";
    SIMCLR_CHECK(supcon || (r.loss != "supcon-out" && r.loss != "supcon-in"), rows.said(r.loss),
                 ": it is for --method supcon, not for ", r.method, "; leave it out, or choose that method");
    SIMCLR_CHECK(
        !supcon || (r.loss != "debiased" && r.loss != "hard"), rows.said(r.loss),
        ": it guesses which negatives are of the own class, which --method supcon knows; use --loss supcon-out");
    SIMCLR_CHECK(!supcon || (r.loss != "dcl" && r.loss != "dclw"), rows.said(r.loss),
                 ": a batch of one class alone has no negatives, and its loss is -infinity; use --loss supcon-out");
    if (r.method != "supervised") return;
    const auto unused = [&rows](const auto& option) {
      SIMCLR_CHECK(
          !rows.typed(option), rows.said(option),
          ": --method supervised has a linear layer and cross-entropy in the place of the head and the loss on "
          "its projections, and one view of each sample; leave it out");
    };
    unused(r.loss);
    unused(r.temperature);
    unused(r.head_hidden);
    unused(r.head_out);
    unused(r.head_layers);
    unused(r.head_batchnorm);
    unused(r.head_last_batchnorm);
    unused(r.head_last_shift);
    unused(r.head_last_bias);
    unused(r.views_apart);
  });
}

void add_loss_rows(OptionTable& table, Recipe& r) {
  table.add(
      "loss", r.loss, loss_names(),
      "dcl leaves the positive out of the negatives' sum, dclw gives far pairs more weight besides, debiased takes "
      "off the negatives that are of the own class, hard makes near negatives weigh more; of --method supcon "
      "supcon-out, which nt-xent is there, takes the mean over the positives of logs, supcon-in the log of the mean");
  table.add("class-prior", r.class_prior, "Of debiased and hard: the share of negatives that are of the own class")
      .at_least(0, "0.1 suits ten classes")
      .below(1);
  table.add("hardness", r.hardness, "Of hard: a negative at s = cosine / temperature weighs e^(hardness x s)")
      .between(0, 100);
  table.add("dclw-sigma", r.dclw_sigma, "Of dclw: pairs share their weights as a softmax of cosine / sigma")
      .between(0.01, 1000);
  table.rule([&r](const OptionTable& rows) {
    const auto only = [&](const double& option, bool used, const char* losses) {
      SIMCLR_CHECK(used || !rows.typed(option), rows.said(option), ": it is for --loss ", losses, ", not for ", r.loss,
                   "; leave it out, or choose that loss");
    };
    only(r.class_prior, r.loss == "debiased" || r.loss == "hard", "debiased or hard");
    only(r.hardness, r.loss == "hard", "hard");
    only(r.dclw_sigma, r.loss == "dclw", "dclw");
    const double least = simclr::kernels::nt_xent_least_temperature(simclr::DType::f32);
    SIMCLR_CHECK(r.loss != "hard" || r.temperature / (1 + r.hardness) >= least, rows.said(r.hardness),
                 ": --temperature over 1 + hardness must be at least ", least, "; lower it, 0.5 to 2 is usual");
  });
}

void add_step_rows(OptionTable& table, TrainingOptions& o) {
  Recipe& r = o.recipe;
  table.group("Training");
  table.add("method", r.method, method_names(),
            "simclr learns from views alone, supcon takes all views of a class for each other's positives, supervised "
            "trains the encoder with a linear classifier; these two need a label for each training sample");
  table.add("classes", o.classes, "Of the labels, for a method that takes them").at_least(0).file_only();
  table.add("limit", o.limit, "Train on so many samples, spread over the set; 0: all").at_least(0);
  table
      .add(
          "shuffle-block", o.shuffle_block,
          "For data on a slow or distant disk: the order shuffles blocks of so many samples that lie side by side, and "
          "mixes 16 at a time, so that these are read close in time; 0: the whole set is mixed")
      .at_least(0);
  table.add("epochs", r.epochs, "Passes over the training samples; more is better, up to about 1000").at_least(1);
  table.add("batch-size", r.batch_size, "Samples a step, of all processes together; more are more negatives")
      .at_least(2, "the others of a batch are a sample's negatives");
  table
      .add(
          "micro-batch", o.micro_batch,
          "Samples of the batch that go through the network at a time, in each process, to save memory, at the cost of "
          "one more forward pass; the loss has the negatives of the whole batch, batch norm sees each part by itself. "
          "0: all of a process's")
      .at_least(2, "batch norm needs them")
      .or_else(0, "all");
  table.add("temperature", r.temperature, "Temperature of the loss; 0.5 and 0.2 are usual for CIFAR")
      .at_least(simclr::kernels::nt_xent_least_temperature(simclr::DType::f32),
                "below that rounding decides the loss, and 0.1 to 1 is usual");
  add_loss_rows(table, r);
  add_method_rules(table, r);
  add_seed_row(table, o.seed, "Of weights, order and views: the same seed gives the same bits");
}

void add_optimizer_rows(OptionTable& table, Recipe& r) {
  std::vector<std::string> names;
  for (const OptimizerKind& each : optimizer_kinds()) names.push_back(each.name);
  table.add("optimizer", r.optimizer, names, "lars is for large batches");
  table.add("lr", r.lr, "Learning rate at 256 samples a batch; the peak is lr x batch size / 256").above(0);
  table
      .add("clip-grad-norm", r.clip_grad_norm,
           "Gradients of a greater norm, of all weights together, are scaled to it; 0: none are")
      .at_least(0, "1 is usual");
  table.add("momentum", r.momentum, "Of sgd and lars").at_least(0).below(1);
  table.add("weight-decay", r.weight_decay, "lars and adamw leave batch norm and biases out").between(0, 100);
  table.add("lars-trust", r.lars_trust, "LARS's trust coefficient, eta: a layer's step is eta |w| / |g| x lr")
      .above(0, "0.001 to 0.02 is usual");
  table.flag("lars-clip", "no-lars-clip", r.lars_clip, "That step is the smaller of eta |w| / |g| and lr");
  table.add("lars-rule", r.lars_rule, lars_rule_names,
            "simclr (google-research's) or bolts (PyTorch Lightning Bolts' and solo-learn's: lr outside the momentum)");
  table.add("warmup-epochs", r.warmup_epochs, "The learning rate rises linearly, then falls as a cosine to 0")
      .at_least(0);
  table.add("warmup", r.warmup, warmup_names, "It rises above-zero from the first step, from-zero or from-start");
  table.add("warmup-start", r.warmup_start, "The first learning rate of from-start").at_least(0);
  table.flag("schedule-by-epoch", "schedule-by-step", r.schedule_by_epoch,
             "The learning rate moves once an epoch, or at each step");
}

void add_evaluation_rows(OptionTable& table, TrainingOptions& o) {
  table.group("Evaluation");
  table
      .add("hold-out", o.hold_out,
           "Share of each class's training samples that is not trained on: checkpoints/best.safetensors is chosen by "
           "the kNN on it, of pairs without labels by R@1. 0: none, and no best checkpoint")
      .at_least(0, "a share such as 0.1, or 0, which holds nothing out")
      .below(1);
  table
      .add("knn-every", o.knn_every,
           "Epochs between kNN evaluations during training, the last one besides, on what --hold-out keeps, else on "
           "a fifth of the training samples by the rest; 0: none")
      .at_least(0)
      .may_change();
  table.add("knn-samples", o.knn_samples, "Training samples that those look at").at_least(2).may_change();
  table.add("knn-k", o.knn_k, "Neighbours that vote").at_least(1).may_change();
  table.add("knn-temperature", o.knn_temperature, "A neighbour's vote weighs exp(similarity / temperature)")
      .above(0)
      .may_change();
  table.add("probe-epochs", o.probe_epochs, "Epochs of the linear probe on frozen features").at_least(1).may_change();
  table.flag("evaluation", "no-evaluation", o.evaluate, "Evaluate at the end").may_change();
}

void add_run_rows(OptionTable& table, TrainingOptions& o) {
  table.group("Run");
  table
      .flag("check", "", o.check,
            "Do not train: look at the data, train on one batch, and say in about a minute whether a run will work, "
            "how long it will take and what looks wrong. Exit code 0: fine, 1: something is wrong")
      .command_line_only();
  table.add("out", o.out, "Folder for config.json, log.jsonl and weights. Unset: runs/<data>-<preset>-<time>")
      .command_line_only();
  table.flag("overwrite", "", o.overwrite, "Use the folder even if it holds a run, which is lost").command_line_only();
  table.flag("resume", "", o.resume, "Go on with the run in --out, from its last checkpoint and with its options")
      .command_line_only();
  table.add("checkpoint-minutes", o.checkpoint_minutes, "Between checkpoints; 0: one after each step")
      .at_least(0, "0: after each step")
      .may_change();
  table.add("keep-checkpoints", o.keep_checkpoints, "How many of the last to keep, besides the best of --hold-out")
      .at_least(1)
      .may_change();
}

void add_computing_rows(OptionTable& table, TrainingOptions& o) {
  add_device_row(table, o.device);
  table
      .add("dtype", o.dtype, {"auto", "f32", "bf16"},
           "What activations are computed in: f32, bf16 (GPU only), or auto: bf16 on a GPU")
      .may_change();
  table
      .add("views-on", o.views_on, {"auto", "host", "device"},
           "Where samples are kept and views made: host, device, or auto: on a GPU where they fit")
      .may_change();
  table.flag("graph", "no-graph", o.graph, "Replay a step as a CUDA graph, or launch each kernel by itself")
      .may_change();
  table
      .flag("wgmma", "no-wgmma", o.wgmma,
            "On a GPU of sm_90: compute the loss by the tiles for its tensor cores, which no GPU has run yet")
      .may_change();
  table
      .flag("profile", "", o.profile,
            "Print where the time of the training steps went, kernel by kernel; they wait for the device at each, and "
            "are no graph")
      .command_line_only();
  add_threads_row(table, o.threads);
  add_workers_row(table, o.workers);
  table
      .add("world-timeout", o.world_timeout,
           "Of several processes (mpirun, srun): seconds that one waits for the others in a step, until it takes it "
           "that they hang and ends the run. On GPUs the time that the step itself takes counts, too")
      .between(1, 86400)
      .command_line_only();
}

/// A preset's or a file's own warm-up is not blamed on whoever gave the epochs alone.
void check_warmup(const OptionTable& table, const Recipe& r) {
  if (r.warmup_epochs <= r.epochs) return;
  const OptionRow& warmup = table.row_of(&r.warmup_epochs);
  if (!table.given(warmup)) {
    simclr::fail(table.said(r.epochs), ": fewer than the ", r.warmup_epochs, " epochs in which the preset ", r.name,
                 " warms up; give --warmup-epochs, 0 to ", r.epochs, ", too");
  }
  simclr::fail(table.said(warmup), ": must be between 0 and ", table.said(r.epochs));
}

void add_rules(OptionTable& rows, TrainingOptions& o) {
  rows.rule([&o](const OptionTable& table) {
    const Recipe& r = o.recipe;
    check_warmup(table, r);
    SIMCLR_CHECK(o.micro_batch <= r.batch_size, table.said(o.micro_batch), ": more than ", table.said(r.batch_size),
                 ", which is the whole batch; leave it out");
    SIMCLR_CHECK(o.hold_out == 0 || o.knn_every != 0, table.said(o.hold_out),
                 ": the best checkpoint is chosen by the kNN during training, which ", table.said(o.knn_every),
                 " leaves out");
    SIMCLR_CHECK(!o.resume || !o.out.empty(), "--resume needs --out DIR, the folder of the run that is to go on");
    SIMCLR_CHECK(!o.resume || !o.overwrite, "--resume and --overwrite: give one of them");
  });
}

}  // namespace

void add_training_rows(OptionTable& table, TrainingOptions& o) {
  add_head_rows(table, o.recipe);
  add_step_rows(table, o);
  add_optimizer_rows(table, o.recipe);
  add_evaluation_rows(table, o);
  add_run_rows(table, o);
  add_computing_rows(table, o);
  add_rules(table, o);
}

void add_cache_rows(OptionTable& table, TrainingOptions& o, const std::string& sample, const std::string& also_there) {
  table
      .add("cache-gb", o.cache_gb,
           "Memory for a folder's decoded " + sample +
               "s, of a host's processes together; -1: half of what is free, 0: decode in every epoch")
      .between(0, 1e6)
      .or_else(-1, "half of the free memory")
      .may_change();
  table
      .add("cache-dir", o.cache_dir,
           "Where decoded " + sample + "s that do not fit there go, in a temporary file" +
               (also_there.empty() ? "" : ", and where " + also_there + " is kept"))
      .may_change();
}

OptionTable training_table(TrainingOptions& options, ModalityOptions& modality) {
  OptionTable table;
  table.constant("modality", modality.name());
  std::vector<std::string> presets;
  for (const Recipe& each : modality.recipes()) presets.push_back(each.name);
  table.add("preset", options.recipe.name, presets, "A whole recipe; the other options change it");
  modality.options(table, options);
  add_training_rows(table, options);
  table.sources = options.sources;
  return table;
}

std::vector<Recipe> ModalityOptions::recipes() const {
  Recipe recipe;
  recipe.name = "default";
  recipe.description = "the options' defaults";
  return {recipe};
}

void use_recipe(TrainingOptions& options, ModalityOptions& modality, const std::string& name) {
  const std::vector<Recipe> all = modality.recipes();
  options.recipe = name.empty() ? all.front() : named_recipe(all, name);
  modality.use_recipe(options.recipe.name);
}
