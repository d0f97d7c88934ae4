// What the features of a text encoder's tokens are worth: a linear probe tells the semantic roles of words, beside the
// same probe of an encoder that has not been trained.
#include "modalities/role_features.h"
#include "modalities/texts.h"
#include "run/command_line.h"
#include "run/option_line.h"
#include "run/run_folder.h"
#include "run/shared_rows.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"

#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <cstdio>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

struct Options {
  std::string weights, train, test, json;
  int epochs = 30;
  std::int64_t least = 50;
  bool arguments = false;
  std::uint64_t seed = 0;
  bool overwrite = false;
  ComputeOptions compute;
};

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app(
      "Measures how well the features of a text encoder's tokens tell semantic roles: of each word and each predicate "
      "of its sentence a linear probe says which part the word has.",
      "token_probe");
  app.add_option("weights", o.weights, "A run's folder of train_text, a checkpoint or a weights file")->required();
  app.add_option("train", o.train, "Sentences with their roles to learn from, CoNLL-U Plus")->required();
  app.add_option("test", o.test, "Others to test on")->required();
  OptionTable table;
  table.group("");
  table.add("epochs", o.epochs, "Of the linear probe").at_least(1);
  table.add("least", o.least, "Words that must have a role for it to be learned; rarer ones are left out").at_least(1);
  table.flag("arguments", "", o.arguments,
             "Look at the words alone that have a role, and tell which; without it also which words have none");
  add_seed_row(table, o.seed, "Of the probe's order");
  table.add("json", o.json, "A file for all figures");
  add_overwrite_row(table, o.overwrite);
  table.group("Computing");
  add_device_row(table, o.compute.device);
  add_threads_row(table, o.compute.threads);
  return parse(app, table, argc, argv);
}

data::RoleList read(const std::string& path) {
  data::RoleList list = data::read_role_list(path);
  for (const std::string& warning : list.warnings) std::printf("warning: %s\n", warning.c_str());
  for (const auto& [kind, count] : list.left_out) {
    std::printf("%s: left out: %s %s\n", simclr::printable(path).c_str(), simclr::counted(count, "sentence").c_str(),
                kind.c_str());
  }
  return list;
}

/// Precision, recall and F1 of each role, and their means over the roles, without those words that have none.
struct RoleMetrics {
  nn::Metrics all;
  double precision = 0, recall = 0, f1 = 0;
};

RoleMetrics means_of(const nn::Metrics& all, const std::vector<std::string>& names) {
  RoleMetrics result{.all = all};
  int roles = 0;
  for (std::size_t role = 0; role < names.size(); ++role) {
    if (all.support[role] == 0 || names[role] == no_role) continue;
    ++roles;
    result.precision += all.precision[role];
    result.recall += all.recall[role];
    result.f1 += all.f1[role];
  }
  SIMCLR_CHECK(roles > 0, "none of the roles that are learned occurs in what is tested on");
  result.precision /= roles;
  result.recall /= roles;
  result.f1 /= roles;
  return result;
}

/// Both parts of the data, and the roles that are learned.
struct Roles {
  data::RoleList train, test;
  std::vector<std::string> names;
};

RoleMetrics measure(nn::Module& encoder, const Texts& texts, const Roles& roles, const Options& o, bool tell) {
  auto& tokens = dynamic_cast<nn::TokenEncoder&>(encoder);
  const auto features = [&](const data::RoleList& list) {
    return role_features(tokens, texts.tokenizer(), texts.longest(), list, roles.names);
  };
  const RoleFeatures train = features(roles.train), test = features(roles.test);
  if (tell) {
    std::printf(
        "%lld pairs of a word and a predicate to learn from, %lld to test on; left out: %lld of rarer roles, %lld "
        "behind %lld tokens\n",
        static_cast<long long>(train.rows.values.dim(0)), static_cast<long long>(test.rows.values.dim(0)),
        static_cast<long long>(train.other_role + test.other_role), static_cast<long long>(train.behind + test.behind),
        static_cast<long long>(texts.longest()));
    std::fflush(stdout);
  }
  return means_of(nn::compute_metrics(nn::linear_probe_scores(train.rows, test.rows.values, std::ssize(roles.names),
                                                              {.epochs = o.epochs, .seed = o.seed}),
                                      test.rows.labels),
                  roles.names);
}

void print_row(const std::string& name, const std::string& words, const double (&shares)[6]) {
  std::printf("  %-14s %8s   %9.2f %7.2f %7.2f   %9.2f %7.2f %7.2f\n", name.c_str(), words.c_str(), 100 * shares[0],
              100 * shares[1], 100 * shares[2], 100 * shares[3], 100 * shares[4], 100 * shares[5]);
}

void print_table(const RoleMetrics& a, const RoleMetrics& b, const std::vector<std::string>& roles) {
  std::printf("  %-14s %8s   %25s   %25s\n", "%", "", "trained", "untrained");
  std::printf("  %-14s %8s   %9s %7s %7s   %9s %7s %7s\n", "role", "words", "precision", "recall", "F1", "precision",
              "recall", "F1");
  for (std::size_t k = 0; k < roles.size(); ++k) {
    if (a.all.support[k] == 0 || roles[k] == no_role) continue;
    print_row(simclr::printable(roles[k], 14), std::to_string(a.all.support[k]),
              {a.all.precision[k], a.all.recall[k], a.all.f1[k], b.all.precision[k], b.all.recall[k], b.all.f1[k]});
  }
  print_row("mean", "", {a.precision, a.recall, a.f1, b.precision, b.recall, b.f1});
}

nlohmann::ordered_json figures_of(const RoleMetrics& m) {
  return {{"macro_precision", m.precision}, {"macro_recall", m.recall}, {"macro_f1", m.f1}, {"all", to_json(m.all)}};
}

void run(Options o) {
  check_output(o.json, o.overwrite);
  for (const std::string& path : {o.train, o.test}) refuse_in_data("--json", o.json, path);
  const simclr::Device device = open_device(o.compute);
  Texts texts;
  const EncoderFile file = open_encoder(o.weights, texts);
  refuse_in_data("--json", o.json, file.path);
  refuse_in_run("--json", o.json);
  Roles roles{.train = read(o.train), .test = read(o.test), .names = {}};
  roles.names = frequent_roles(roles.train, o.least);
  SIMCLR_CHECK(!roles.names.empty(), "--least ", o.least, ": no role in ", simclr::printable(o.train),
               " is so frequent");
  if (!o.arguments) roles.names.insert(roles.names.begin(), no_role);
  std::printf("%s\n", file.description.c_str());
  file.encoder->to(device);
  const RoleMetrics trained = measure(*file.encoder, texts, roles, o, true);
  const auto fresh = texts.make_encoder(file.config.value("seed", o.seed));
  fresh->to(device);
  const RoleMetrics untrained = measure(*fresh, texts, roles, o, false);
  print_table(trained, untrained, roles.names);
  if (o.json.empty()) return;
  const nlohmann::ordered_json figures = {{"weights", utf8(file.path)},
                                          {"seed", o.seed},
                                          {"roles", roles.names},
                                          {"trained", figures_of(trained)},
                                          {"untrained", figures_of(untrained)}};
  simclr::write_file_atomically(o.json, figures.dump(2) + "\n", existing_output(o.overwrite));
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("token_probe", [&] {
    Options options;
    if (parse_options(argc, argv, options)) run(options);
  });
}
