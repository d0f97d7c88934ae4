// What a program says to options: by the names that the user wrote, and in which words.
#include "modalities/pictures.h"
#include "program/command_line.h"
#include "run/shared_rows.h"
#include "support/catch.h"
#include "support/option_words.h"
#include "train/training_config.h"
#include "train/training_rows.h"

using Catch::Matchers::Contains;
using simclr::test::complaint;
using simclr::test::read_words;

namespace {

/// train_cifar's options from these words; the message where they are refused.
std::string refusal(std::vector<std::string> words) {
  words.insert(words.begin(), "train_cifar");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  TrainingOptions o;
  Pictures pictures;
  return complaint([&] { parse_command_line("train_cifar", static_cast<int>(argv.size()), argv.data(), o, pictures); });
}

}  // namespace

TEST_CASE("A message names the option as it was written", "[options]") {
  CHECK(refusal({"--crop-min", "2"}) == "--crop-min 2: must be 1e-06 to 1");
  const std::string whole = ": must be a whole number from 0 to 18446744073709551615";
  CHECK(refusal({"--seed", "-1"}) == "--seed -1" + whole);
  CHECK(refusal({"--seed", "none"}) == "--seed none" + whole + "; see train_cifar --help");
  CHECK(refusal({"--micro-batch", "300"}) ==
        "--micro-batch 300: more than --batch-size 256, which is the whole batch; leave it out");
  Pictures pictures;
  const auto from_file = [&](const char* text) {
    return complaint([&] { options_from_json(std::string(text), "a.json", pictures); });
  };
  CHECK(from_file(R"({"augmentation": {"crop_area_min": 2}})") ==
        "a.json: \"augmentation.crop_area_min\": 2 must be 1e-06 to 1");
  CHECK(from_file(R"({"epochs": 3, "preset": "loud", "modality": "sounds"})") ==
        "a.json: \"modality\": \"sounds\" must be \"pictures\" for this program");
  CHECK(from_file(R"({"modality": "pictures"})").empty());
  CHECK(from_file(R"({"optimizer": "adam"})") == "a.json: \"optimizer\": \"adam\" must be one of sgd, lars, adamw");

  Pictures named;
  TrainingOptions o = options_from_json(std::string(R"({"micro_batch": 300, "epochs": 7})"), "a.json", pictures);
  CHECK_THAT(complaint([&] { training_table(o, named).check_rules(); }),
             Contains("a.json: \"micro_batch\": 300: more than --batch-size 256"));
}

TEST_CASE("A whole number has no point, in help and messages", "[options]") {
  double one = -1, many[] = {0.25, 3};
  std::vector<double> any = {1, 2.5e10, 100};
  std::string word = "1.0";
  OptionTable table;
  CHECK(table.add("one", one, "A number").any_number().text() == "-1");
  CHECK(table.add("two", {&many[0], &many[1]}, "Numbers").any_number().text() == "0.25,3");
  CHECK(table.add("any", any, "Numbers").any_number().text() == "1,25000000000,100");
  CHECK(table.add("word", word, "A text").text() == "1.0");
}

TEST_CASE("A preset's own warm-up is not the user's", "[options]") {
  CHECK(refusal({"--preset", "google", "--epochs", "1"}) ==
        "--epochs 1: fewer than the 10 epochs in which the preset google warms up; give --warmup-epochs, 0 to 1, too");
  CHECK(refusal({"--preset", "google", "--epochs", "1", "--warmup-epochs", "1"}).empty());
  CHECK(refusal({"--epochs", "3", "--warmup-epochs", "4"}) == "--warmup-epochs 4: must be between 0 and --epochs 3");
}

TEST_CASE("An option that is given twice is refused in one way", "[options]") {
  CHECK(refusal({"--epochs", "1", "--epochs", "2"}) == "--epochs: given twice; leave one of them out");
  CHECK(refusal({"--epochs=1", "--lr", "1", "--epochs", "1"}) == "--epochs: given twice; leave one of them out");
  CHECK(refusal({"--graph", "--graph"}) == "--graph: given twice; leave one of them out");
  CHECK(refusal({"--graph", "--no-graph"}) == "--graph and --no-graph: give one of them");
  CHECK(refusal({"--config", "a", "--config", "b"}) == "--config: given twice; leave one of them out");
}

TEST_CASE("Several numbers are parted by commas, or by spaces where it is known how many", "[options]") {
  OptionTable table;
  std::vector<double> labels = {1, 10, 100};
  float mean[3] = {};
  add_labels_row(table, labels);
  table.add("mean", {&mean[0], &mean[1], &mean[2]}, "Three").any_number();
  CHECK(read_words(table, {"--labels", "0.5,25", "--mean", "1", "2", "-0.5"}) == "");
  CHECK(labels == std::vector<double>{0.5, 25});
  CHECK(mean[2] == -0.5f);
  CHECK_THAT(read_words(table, {"--mean", "1,2"}), Contains("--mean 1,2: must be 3 numbers"));
  CHECK_THAT(read_words(table, {"--mean", "1,2,x"}), Contains("--mean 1,2,x: must be a number"));
  for (const char* percent : {"0", "-1", "100.5", "nan"}) {
    CHECK_THAT(read_words(table, {"--labels", std::string("10,") + percent}), Contains("above 0 and at most 100"));
  }
}
