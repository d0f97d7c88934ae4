// Texts as a kind of data, from files to a report; and the sets that are made of them.
#include "check/check.h"
#include "modalities/named_texts.h"
#include "modalities/role_features.h"
#include "modalities/text_baseline.h"
#include "modalities/text_sets.h"
#include "modalities/texts.h"
#include "program/run_training.h"
#include "run/run_log.h"
#include "train/data_files.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"
#include "train/training_config.h"

#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/roles.h"
#include "support/sentences.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::sentence;
namespace fs = std::filesystem;

namespace {

int run(std::vector<std::string> words) {
  words.insert(words.begin(), {"train_text", "--threads", "1", "--device", "cpu"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  Texts texts;
  return run_training("train_text", static_cast<int>(arguments.size()), arguments.data(), texts);
}

/// Trains on tables of 300 and 100 sentences in `folder`; 9 steps an epoch. `more` replaces options, and `flags`
/// follow.
int train(const test::TempDir& folder, const std::string& out, const std::map<std::string, std::string>& more = {},
          const std::vector<std::string>& flags = {}) {
  folder.write("data/train.tsv", test::table_of_sentences(300, 1));
  folder.write("data/test.tsv", test::table_of_sentences(100, 2));
  std::map<std::string, std::string> options = {{"--data", folder.path("data")},
                                                {"--out", out},
                                                {"--epochs", "6"},
                                                {"--width", "16"},
                                                {"--heads", "2"},
                                                {"--lr", "0.02"},
                                                {"--batch-size", "32"},
                                                {"--knn-k", "10"},
                                                {"--head-out", "16"},
                                                {"--knn-every", "3"},
                                                {"--head-hidden", "16"},
                                                {"--warmup-epochs", "0"}};
  for (const auto& [name, value] : more) options[name] = value;
  std::vector<std::string> words;
  for (const auto& [name, value] : options) words.insert(words.end(), {name, value});
  words.insert(words.end(), flags.begin(), flags.end());
  return run(words);
}

void check_same_weights(const std::string& a, const std::string& b) {
  const auto expected = load_tensors(a + "/model.safetensors").tensors;
  const auto found = load_tensors(b + "/model.safetensors").tensors;
  REQUIRE(expected.size() == found.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(expected[i].name);
    REQUIRE(expected[i].name == found[i].name);
    if (expected[i].value.dtype() == DType::u8) {
      CHECK(expected[i].value.to_vector<std::uint8_t>() == found[i].value.to_vector<std::uint8_t>());
    } else {
      CHECK(test::same_bits(expected[i].value, found[i].value));
    }
  }
}

/// A run as one that was killed leaves it: without its end and the last of its checkpoints.
void cut(const std::string& run, const std::string& to) {
  fs::copy(run, to, fs::copy_options::recursive);
  fs::remove(fs::path(to) / "model.safetensors");
  fs::remove(fs::path(to) / "report.html");
  std::vector<fs::path> checkpoints;
  for (const auto& file : fs::directory_iterator(fs::path(to) / "checkpoints")) checkpoints.push_back(file.path());
  std::sort(checkpoints.begin(), checkpoints.end());
  REQUIRE(checkpoints.size() > 20);
  for (std::size_t i = 20; i < checkpoints.size(); ++i) fs::remove(checkpoints[i]);
}

std::vector<std::string> texts_of(const data::Dataset& set) {
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < set.size(); ++i) texts.emplace_back(data::text_of(set.sample(i)));
  return texts;
}

}  // namespace

TEST_CASE("texts train, are evaluated, resume to the same bits with the run's tokenizer, and are reported") {
  const test::TempDir folder;
  const std::string whole = folder.path("whole"), stopped = folder.path("stopped");
  REQUIRE(train(folder, whole, {{"--checkpoint-minutes", "0"}, {"--keep-checkpoints", "100"}}) == 0);
  cut(whole, stopped);
  REQUIRE(run({"--resume", "--out", stopped}) == 0);
  check_same_weights(whole, stopped);

  const auto last = read_run_log(whole + "/log.jsonl").back();
  REQUIRE(event_of(last) == "evaluation");
  CHECK(last["trained"]["linear"]["top1"].get<double>() > 0.8);
  const std::string report = test::read_text(whole + "/report.html");
  CHECK(report.find("<span class=\"text\"") != std::string::npos);
  CHECK(report.find("even3") != std::string::npos);
  CHECK(report.find("100 test texts") != std::string::npos);
  CHECK(report.find(" picture") == std::string::npos);

  // Weights are enough: they hold the tokenizer, and what a run keeps is taken before its data are opened.
  fs::copy(whole + "/model.safetensors", folder.path("alone.safetensors"));
  Texts alone;
  const EncoderFile file = open_encoder(folder.path("alone.safetensors"), alone);
  CHECK_THAT(file.description, Contains("mean and maximum of embeddings, width 16, of ") && Contains(" words"));
  Texts kept;
  take_kept_of_run(stopped, kept);
  CHECK(kept.tokenizer().model() == alone.tokenizer().model());
  // A newest checkpoint that is damaged is passed over for the one before it.
  const auto checkpoints = nn::CheckpointFolder(fs::path(stopped) / "checkpoints").list();
  fs::resize_file(checkpoints.front().path, 100);
  Texts before;
  take_kept_of_run(stopped, before);
  CHECK(before.tokenizer().model() == alone.tokenizer().model());
  Texts none;
  take_kept_of_run(folder.path("data"), none);  // which holds no run
  CHECK_THAT(message_of([&] { none.tokenizer(); }), Contains("is not known before"));
  TrainingOptions options;
  use_recipe(options, kept, "");
  options.data_dir = folder.write("other.txt", std::string("quite other words\nthan those\n"));
  kept.open(options);
  CHECK(kept.tokenizer().model() == alone.tokenizer().model());
  const auto test =
      data::text_dataset(std::make_shared<data::TextList>(data::read_text_table(folder.path("data/test.tsv")).texts));
  CHECK(features_of(*file.encoder, *test, file.tower, {}).values.shape() == Shape{100, 32});
}

TEST_CASE("a run of another tokenizer, or of no kind of text, is refused") {
  const test::TempDir folder;
  const std::string out = folder.path("run");
  REQUIRE(train(folder, out, {{"--epochs", "1"}, {"--knn-every", "0"}, {"--checkpoint-minutes", "0"}},
                {"--no-evaluation"}) == 0);
  fs::remove(out + "/model.safetensors");
  CHECK(run({"--resume", "--out", out, "--vocabulary", "20"}) == 1);
  CHECK(run({"--resume", "--out", out}) == 0);
  CHECK(run({"--out", folder.path("none")}) == 1);  // no --data
  CHECK(run({"--out", folder.path("none"), "--data", folder.path("none.txt")}) == 1);
  CHECK(run({"--out", folder.path("none"), "--data", folder.path("data"), "--arch", "gru", "--width", "7"}) == 1);
}

TEST_CASE("every recipe of texts trains") {
  for (const char* recipe : {"gru", "transformer"}) {
    CAPTURE(recipe);
    const test::TempDir folder;
    const std::string out = folder.path("run");
    REQUIRE(train(folder, out, {{"--preset", recipe}, {"--epochs", "1"}}) == 0);
    Texts texts;
    CHECK(open_encoder(out, texts).encoder->output_features() == 32);
  }
}

TEST_CASE("--check looks at tokens, and refuses views that do not differ") {
  const test::TempDir folder;
  const std::string data = folder.write("train.tsv", test::table_of_sentences(300, 1));
  const auto found = [&](const std::string& config, double difference) {
    Texts texts;
    TrainingOptions options = options_from_json(config, "test", texts);
    options.data_dir = data;
    const Datasets sets = texts.open(options);
    Findings findings;
    texts.look({.sets = sets, .towers = {}, .difference = difference}, findings);
    std::string about;
    for (const Finding& each : findings) about += each.about + (each.unusable ? " unusable; " : "; ");
    return about;
  };
  CHECK(found("{}", 0.9).empty());
  CHECK(found(R"({"vocabulary": 5})", 0.9) == "tokens; ");  // most words are unknown
  CHECK(found(R"({"longest": 4})", 0.9) == "tokens; ");
  CHECK(found("{}", 0.0) == "views unusable; ");
  CHECK(found(R"({"dropout": 0.1})", 0.0).empty());

  CHECK(train(folder, folder.path("checked"), {{"--vocabulary", "5"}}, {"--check"}) == 1);
  CHECK_FALSE(fs::exists(folder.path("checked/config.json")));
}

TEST_CASE("a table is parted by its texts, a file of lines has nothing to evaluate with") {
  const test::TempDir folder;
  const TextSets sets = open_texts("auto", folder.write("all.tsv", test::table_of_sentences(400, 1)));
  CHECK(sets.kind == "texts");
  REQUIRE(sets.test);
  CHECK(sets.train->size() + sets.test->size() == 400);
  CHECK(sets.test->size() > 50);
  CHECK(sets.test->size() < 110);
  CHECK(sets.train->classes() == std::vector<std::string>{"even", "odd"});
  CHECK_THAT(sets.note,
             Contains("texts from text, labels from label") && Contains("a fifth of the labelled texts is kept"));

  // Other texts in a file of the same size are noticed.
  std::string table = test::table_of_sentences(400, 1);
  char& digit = table[table.size() - 4];
  digit = digit == '1' ? '2' : '1';
  CHECK(open_texts("auto", folder.path("all.tsv")).within == sets.within);
  CHECK(open_texts("auto", folder.write("all.tsv", table)).within != sets.within);

  const TextSets lines = open_texts("auto", folder.write("lines.txt", std::string("one\ntwo\none\n\xff\n")));
  CHECK(lines.train->size() == 2);
  CHECK_FALSE(lines.test);
  CHECK(lines.no_test == "no labels");
  CHECK_THAT(lines.note, Contains("not trained on: 1 repeated text"));
  CHECK(lines.warnings.size() == 1);
  CHECK_THAT(lines.train->describe(), Contains("left out: 1 line not in UTF-8"));
}

TEST_CASE("no text is trained on that any published set is tested with") {
  const test::TempDir folder;
  std::string reviews[2], subjective, lines;
  for (std::uint32_t i = 0; i < 200; ++i) {
    reviews[i % 2] += sentence(i, 1) + "\n";
    subjective += sentence(i, 1) + "\n";  // the same sentences
    lines += lower_case(sentence(i, 1)) + " !\n" + sentence(i, 3) + "\n";
  }
  folder.write("sets/rt-polarity.neg", reviews[0]);
  folder.write("sets/rt-polarity.pos", reviews[1]);
  std::string objective;
  for (std::uint32_t i = 0; i < 40; ++i) objective += sentence(i, 4) + "\n";
  folder.write("sets/subj.objective", objective);
  folder.write("sets/subj.subjective", subjective);
  folder.write("sets/TREC.train", "NUM:dist " + sentence(5, 5) + "\nLOC:city " + sentence(6, 5) + "\nNUM:date " +
                                      sentence(7, 5) + "\nLOC:state " + sentence(9, 5) + "\n");
  folder.write("sets/TREC.test", "LOC:city " + sentence(6, 5) + "\nNUM:dist " + sentence(8, 5) + "\n");
  const std::string places = folder.path("sets") + "::" + folder.write("imdb.txt", lines + sentence(8, 5) + "\n");
  CHECK_THAT(message_of([&] { open_texts("auto", places); }),
             Contains("say by --dataset") && Contains("mr, subj, trec"));

  std::set<std::uint64_t> tested;
  for (const char* kind : {"mr", "subj", "trec"}) {
    const TextSets sets = open_texts(kind, places);
    REQUIRE(sets.test);
    for (const std::string& text : texts_of(*sets.test)) tested.insert(data::digest_of_text(text));
  }
  for (const char* kind : {"mr", "subj", "trec"}) {
    CAPTURE(kind);
    const TextSets sets = open_texts(kind, places);
    CHECK(sets.kind == kind);
    std::set<std::uint64_t> trained;
    for (const std::string& text : texts_of(*sets.train)) {
      CHECK_FALSE(tested.contains(data::digest_of_text(text)));
      CHECK(trained.insert(data::digest_of_text(text)).second);
    }
    CHECK(trained.size() > 250);  // the lines' own among them
    CHECK_THAT(sets.note, Contains("that say what a test text says") && Contains("trained on without its labels"));
    std::int64_t labelled = 0;
    for (std::int64_t i = 0; i < sets.train->size(); ++i) labelled += sets.train->label(i) >= 0 ? 1 : 0;
    CHECK(labelled == (kind == std::string("trec") ? 3 : labelled));
    CHECK(labelled < sets.train->size());
  }
  const auto files = text_files("mr", places);
  CHECK(files.size() == 7);

  // A further set's test part changes nothing of what is tested.
  folder.write("mr/rt-polarity.neg", reviews[0]);
  folder.write("mr/rt-polarity.pos", reviews[1]);
  const TextSets before = open_texts("mr", folder.path("mr")), now = open_texts("mr", folder.path("sets"));
  CHECK(now.within.size() > before.within.size());
  CHECK_FALSE(test_part_differs({{"within", before.within}}, {{"within", now.within}}, now.within_training));
  folder.write("mr/rt-polarity.pos", reviews[1] + "a sentence\n" + objective);
  const TextSets other = open_texts("mr", folder.path("mr"));
  CHECK(test_part_differs({{"within", before.within}}, {{"within", other.within}}, other.within_training));
  // Nor has it the name of a test part that the first place lacks.
  const TextSets no_own = open_texts("texts", folder.path("imdb.txt") + "::" + folder.path("sets"));
  CHECK(no_own.within.size() > 2);
  CHECK(no_own.within_training.size() == no_own.within.size());
  CHECK_FALSE(no_own.within.contains(test_part_within));
  CHECK_THAT(message_of([&] { open_texts("trec", folder.path("sets/TREC.train")); }),
             Contains("does not hold TREC.train"));
}

TEST_CASE("nothing is written among texts, nor over a file that a link in their folder leads to") {
  const test::TempDir folder;
  const std::string elsewhere = folder.write("elsewhere.tsv", std::string("text\tlabel\na b\tx\n"));
  folder.write("texts/test.tsv", std::string("text\tlabel\na c\tx\n"));
  std::filesystem::create_symlink(elsewhere, folder.path("texts/train.tsv"));
  const auto refused = [&](const std::string& output) {
    return message_of([&] { Texts().refuse_in("--out", {"", output}, "auto", folder.path("texts")); });
  };
  CHECK_THAT(refused(folder.path("texts/run")), Contains("--out " + folder.path("texts/run") + ": lies in the data's"));
  CHECK_THAT(refused(elsewhere), Contains("--out " + elsewhere + ": is read here, and would be lost"));
  CHECK(refused(folder.path("run")) == "no error");
  Texts().refuse_in("--out", {folder.path("run")}, "auto", "");
}

TEST_CASE("TF-IDF stands beside encoders with the same probe") {
  const test::TempDir folder;
  folder.write("data/train.tsv", test::table_of_sentences(300, 1));
  folder.write("data/test.tsv", test::table_of_sentences(100, 2));
  Texts texts;
  TrainingOptions options;
  use_recipe(options, texts, "");
  options.data_dir = folder.path("data");
  const Datasets sets = texts.open(options);
  const Baseline tfidf = tfidf_features(sets);
  CHECK(tfidf.name == "TF-IDF");
  CHECK(tfidf.train.values.dim(0) == 300);
  CHECK(tfidf.train.labels.size() == 300);
  const simclr::Tensor scores = nn::linear_probe_scores(tfidf.train, tfidf.test.values, 2, {.epochs = 30});
  CHECK(nn::compute_metrics(scores, tfidf.test.labels).top1 > 0.9);
}

TEST_CASE("programs that take weights see each text by its words, and labelled ones") {
  const test::TempDir folder;
  std::vector<std::string> warnings;
  const auto warn = [&warnings](const std::string& line) { warnings.push_back(line); };
  const std::string path =
      folder.write("all.csv", std::string("text,label\n\"two\nlines\",a\nplain,b\nplain,a\n\xff,b\n"));
  const auto named = named_texts(path, warn);
  REQUIRE(named->size() == 3);
  CHECK(named->classes() == std::vector<std::string>{"two lines", "plain", "plain"});
  CHECK(named->label(2) == 2);
  CHECK(data::text_of(named->sample(0)) == "two\nlines");
  CHECK(warnings.size() == 1);

  CHECK(data::text_of(query_text("a fine film")) == "a fine film");
  CHECK(data::text_of(query_text(folder.write("query.txt", std::string("\n from a file \nnot this\n")))) ==
        "from a file");
  CHECK_THAT(message_of([] { query_text(" "); }), Contains("give a text, or a file that holds one"));
  CHECK(message_of([] { text_sample(" \n", "7.txt"); }) == "7.txt: has no text");
  CHECK(message_of([] { text_sample("\xff", "8.txt"); }) == "8.txt: has a text that is not in UTF-8");
  CHECK(message_of([] { text_sample(std::string("a\0b", 3), "9.txt"); }) == "9.txt: has a text with a byte 0");
  CHECK(message_of([] { text_sample(std::string(100'001, 'a'), "10.txt"); }) ==
        "10.txt: has 100001 bytes, and a text at most 100000");

  const std::string out = folder.path("run");
  REQUIRE(train(folder, out, {{"--epochs", "1"}, {"--knn-every", "0"}}, {"--no-evaluation"}) == 0);
  Texts texts;
  const EncoderFile file = open_encoder(out, texts);
  TrainingOptions options = options_from_json(file.config, file.path, texts);
  const Datasets sets = texts.open_labelled(options);
  CHECK(sets.train->size() == 300);
  CHECK(sets.test->size() == 100);
  options.data_dir = folder.write("lines.txt", std::string("one\ntwo\n"));
  CHECK_THAT(message_of([&] { texts.open_labelled(options); }), Contains("no labels"));
  const auto light = texts.light_views();
  CHECK(light->view_shape() == file.tower.maker->view_shape());
}

TEST_CASE("words and predicates become rows of their tokens' features") {
  const test::TempDir folder;
  const std::string path = folder.write(
      "roles.conllu", test::role_line(1, "dogs", "_", {"ARG0"}) + test::role_line(2, "bite", "bite.01", {"V"}) +
                          test::role_line(3, "cats", "_", {"ARG1"}) + test::role_line(4, "now", "_", {"RARE"}) +
                          test::role_line(5, ".", "_", {"_"}) + "\n" + test::role_line(1, "cats", "_", {"ARG1"}) +
                          test::role_line(2, "bite", "bite.01", {"V"}) + test::role_line(3, ",", "_", {"_"}) +
                          test::role_line(4, "far", "_", {"ARG1"}));
  const data::RoleList list = data::read_role_list(path);
  CHECK(frequent_roles(list, 1) == std::vector<std::string>{"ARG1", "ARG0", "RARE"});
  const std::vector<std::string> roles = {"none", "ARG1", "ARG0"};
  data::TextList texts("words");
  texts.add("dogs bite cats now .", 1);
  const auto tokens = data::learn_words(texts);
  nn::TokenEncoder encoder(
      {.entries = tokens->size(), .width = 4, .network = nn::TokenNetwork::gru, .dropout = {.p = 0.5}, .seed = 3});
  const RoleFeatures found = role_features(encoder, *tokens, 3, list, roles);
  CHECK(found.rows.labels == std::vector<std::int32_t>{2, 1, 1, 0});  // dogs, cats; cats, ","
  CHECK(found.behind == 3);                                           // now, "." and far
  CHECK(found.other_role == 0);
  REQUIRE(found.rows.values.shape() == Shape{4, 8});
  CHECK(role_features(encoder, *tokens, 64, list, roles).other_role == 1);
  const auto bite = tokens->encode("dogs bite cats");
  const auto alone =
      encoder.features_of_tokens(Input{Tensor::from(bite, {1, 3}), Tensor::from(std::vector{3}, {1}), {}})
          .to_vector<float>();
  const auto values = found.rows.values.to_vector<float>();
  for (std::size_t c = 0; c < 4; ++c) {
    CHECK(values[c] == Approx(alone[c]).margin(1e-6));              // dogs
    CHECK(values[4 + c] == Approx(alone[4 + c]).margin(1e-6));      // bite
    CHECK(values[8 + c] == Approx(alone[8 + c]).margin(1e-6));      // cats
    CHECK(values[8 + 4 + c] == Approx(alone[4 + c]).margin(1e-6));  // bite
  }
  const RoleFeatures arguments = role_features(encoder, *tokens, 64, list, {"ARG0", "ARG1"});
  CHECK(arguments.rows.labels == std::vector<std::int32_t>{0, 1, 1, 1});
  CHECK(arguments.other_role == 1);
  CHECK_THAT(message_of([&] { role_features(encoder, *tokens, 1, list, roles); }), Contains("no word and predicate"));
}
