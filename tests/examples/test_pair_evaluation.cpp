// What the end of a run of pairs measures where a part of it cannot be: the figures of the others stay.
#include "modalities/kinds.h"
#include "modalities/pair_prompts.h"
#include "modalities/pair_sides.h"
#include "modalities/pairs.h"
#include "program/run_training.h"
#include "run/run_log.h"
#include "train/encoder_file.h"
#include "train/training_config.h"

#include <simclr/data/pictures/image_io.h>
#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

using namespace simclr;
using test::TempDir;

namespace {

constexpr int things = 24;

std::string file_of(const std::string& side, int thing) {
  return side + std::to_string(thing) + ".png";
}

/// Two drawings of a thing, whose colour is its own: bright on black, and dark on white.
void write_drawings(const TempDir& dir, int thing) {
  for (const bool dark : {false, true}) {
    data::Picture picture{.height = 12, .width = 12, .channels = 3};
    const Random random(1, RandomPurpose::user, static_cast<std::uint32_t>(thing));
    for (std::uint32_t i = 0; i < 144 * 3; ++i) {
      const bool inside = i / 36 >= 3 && i / 36 < 9;
      const int level = static_cast<int>(dark ? 120 * random.uniform(i % 3) : 110 + 140 * random.uniform(i % 3));
      picture.pixels.push_back(static_cast<std::uint8_t>(inside ? level : dark ? 255 : 0));
    }
    const std::string name = file_of(dark ? "dark" : "bright", thing);
    dir.write(name, data::png_bytes(picture, name));
  }
}

/// The first two thirds are trained on, the others tested; classes in turn. `more`: further rows.
std::string write_pairs(const TempDir& dir, const std::vector<std::string>& classes, const std::string& more = "") {
  std::string text = "bright,dark,label,split\n";
  for (int i = 0; i < things; ++i) {
    write_drawings(dir, i);
    text += file_of("bright", i) + "," + file_of("dark", i) + "," +
            classes[static_cast<std::size_t>(i) % classes.size()] + (i < 16 ? ",train\n" : ",test\n");
  }
  return dir.write("pairs.csv", text + more);
}

/// Returns the exit code.
int train(const std::string& list, const std::string& out, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"train_pairs", "--threads",   "1", "--device",        "cpu", "--data",
                                    list,          "--out",       out, "--epochs",        "1",   "--size",
                                    "8",           "--width",     "4", "--batch-size",    "8",   "--head-out",
                                    "8",           "--knn-every", "0", "--warmup-epochs", "0"};
  for (const std::string& word : more) {  // said anew
    const auto said = word.starts_with("--") ? std::find(words.begin(), words.end(), word) : words.end();
    if (said != words.end()) words.erase(said, said + 2);
  }
  words.insert(words.end(), more.begin(), more.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  Pairs pairs;
  return run_training("train_pairs", static_cast<int>(arguments.size()), arguments.data(), pairs);
}

/// What a run's evaluation gave; empty: there was none.
nlohmann::ordered_json evaluation_of(const std::string& run) {
  const auto last = read_run_log(run + "/log.jsonl").back();
  return event_of(last) == "evaluation" ? nlohmann::ordered_json(last) : nlohmann::ordered_json::object();
}

}  // namespace

TEST_CASE("prompts that cannot be used are told of before training, and cost no other figure") {
  const TempDir dir;
  write_drawings(dir, 99);
  const std::string list = write_pairs(dir, {"even", "odd"}, "bright99.png,dark99.png,rare,train\n");
  const auto prompts = [&](const std::string& rows) { return dir.write("prompts.csv", "label,dark\n" + rows); };
  // Before a step is made: no file is there, or no test half is of the class.
  CHECK(train(list, dir.path("gone"), {"--prompts", prompts("even,gone.png\nodd,lost.png\n")}) == 1);
  CHECK(train(list, dir.path("untested"), {"--prompts", prompts("rare,dark0.png\neven,gone.png\n")}) == 1);
  CHECK(train(list, dir.path("one-class"), {"--prompts", prompts("even,dark0.png\neven,dark2.png\n")}) == 1);
  for (const char* run : {"gone", "untested", "one-class"}) CHECK_FALSE(std::filesystem::exists(dir.path(run)));
  // One that is there and is no picture is only known when it is read.
  dir.write("broken.png", std::string("no picture"));
  const std::string out = dir.path("broken");
  REQUIRE(train(list, out, {"--prompts", prompts("even,broken.png\nodd,broken.png\n")}) == 0);
  const auto found = evaluation_of(out);
  CHECK(found.contains("retrieval"));
  CHECK(found.contains("trained"));
  CHECK_FALSE(found.contains("zero_shot"));
}

/// The last of a run's looks while training.
nlohmann::ordered_json look_of(const std::string& run) {
  nlohmann::ordered_json last;
  for (const LogEntry& entry : read_run_log(run + "/log.jsonl")) {
    if (event_of(entry) == "knn") last = entry;
  }
  REQUIRE(last.is_object());
  return last;
}

TEST_CASE("kNN while training asks for no picture that it knows by another pair") {
  const TempDir dir;
  // Ten rows of each bright drawing, whose class is its own or random: only the same drawing tells it.
  std::string text = "bright,dark,label,split\n";
  for (int i = 0; i < 100; ++i) {
    if (i < 10) write_drawings(dir, i);
    write_drawings(dir, 200 + i);
    text += file_of("bright", i % 10) + "," + file_of("dark", 200 + i) + ",c" + std::to_string(i % 10) + ",train\n";
  }
  const std::string list = dir.write("shared.csv", text), out = dir.path("run");
  REQUIRE(train(list, out, {"--knn-k", "5", "--no-evaluation", "--knn-every", "1"}) == 0);
  const auto look = look_of(out);
  CHECK_FALSE(look.contains("top1"));  // each class is one drawing, so none can be asked for
  CHECK(look["retrieval"]["candidates"] == 100);
  CHECK(look["retrieval"]["groups"] == 10);
}

TEST_CASE("pairs without labels choose the best checkpoint by R@1 on whole groups that are held out") {
  const TempDir dir;
  write_pairs(dir, {""});
  std::string text = "bright,dark\n";
  for (int i = 0; i < things; ++i) {  // each bright drawing stands in two rows
    text += file_of("bright", i / 2 * 2) + "," + file_of("dark", i) + "\n";
  }
  const std::string list = dir.write("shared.csv", text), out = dir.path("run");
  REQUIRE(train(list, out, {"--hold-out", "0.2", "--knn-every", "1"}) == 0);
  CHECK(std::filesystem::exists(out + "/checkpoints/best.safetensors"));
  const auto look = look_of(out);
  CHECK(look["retrieval"]["candidates"] == 4);  // a fifth of the 10 groups that are not tested
  CHECK(look["retrieval"]["groups"] == 2);
}

TEST_CASE("either side's encoder is opened by itself, where both are of one kind") {
  const TempDir dir;
  const std::string list = write_pairs(dir, {""});
  for (const bool shared : {false, true}) {
    const std::string out = dir.path(shared ? "shared" : "apart");
    REQUIRE(train(list, out, {shared ? "--share-encoder" : "--two-encoders", "--no-evaluation"}) == 0);
    const auto all = load_tensors(out + "/model.safetensors").tensors;
    for (const int side : {0, 1}) {
      INFO(out << ", side " << side);
      const std::string prefix = "towers." + std::to_string(shared ? 0 : side) + ".encoder.";
      const auto state = open_side_encoder(out, *kind_of_weights(out, side_names()[static_cast<std::size_t>(side)]),
                                           side_names()[static_cast<std::size_t>(side)])
                             .encoder->state();
      for (const NamedTensor& own : state) {
        const auto same = std::find_if(all.begin(), all.end(),
                                       [&](const NamedTensor& each) { return each.name == prefix + own.name; });
        REQUIRE(same != all.end());
        CHECK(test::same_bits(own.value, same->value));
      }
      // What linear_probe --untrained measures is what the run began with.
      Pairs pairs;
      const auto kind = kind_of_weights(out, side_names()[static_cast<std::size_t>(side)]);
      const EncoderFile file = open_side_encoder(out, *kind, side_names()[static_cast<std::size_t>(side)]);
      const TrainingOptions options = options_from_json(file.config, file.path, pairs);
      pairs.configure(file.config);
      const auto began = pairs.make_model(options)->encoder(side).state();
      const auto untrained = kind->modality().make_encoder(kind->encoder_seed(options.seed))->state();
      REQUIRE(began.size() == untrained.size());
      for (std::size_t i = 0; i < began.size(); ++i) CHECK(test::same_bits(began[i].value, untrained[i].value));
    }
  }
}

TEST_CASE("a shared encoder's halves are looked for without the heads, too") {
  const TempDir dir;
  const std::string list = write_pairs(dir, {""});
  // Learning nothing, the two runs differ by their heads alone; one of a single dimension tells nothing apart.
  std::vector<nlohmann::ordered_json> found;
  for (const char* dimensions : {"1", "32"}) {
    const std::string out = dir.path(std::string("run") + dimensions);
    REQUIRE(train(list, out, {"--share-encoder", "--lr", "1e-30", "--head-out", dimensions}) == 0);
    found.push_back(evaluation_of(out)["retrieval"]["bright -> dark"]);
    const auto report = test::read_bytes(out + "/report.html");
    const std::string head = "<th>encoder</th>";
    CHECK(std::search(report.begin(), report.end(), head.begin(), head.end()) != report.end());
  }
  CHECK(found[0]["encoder"] == found[1]["encoder"]);
  CHECK(found[0]["trained"] != found[1]["trained"]);
  CHECK(found[0]["encoder"] != found[0]["trained"]);
}

TEST_CASE("a class without a prompt that can be read takes no part") {
  const TempDir dir;
  const std::string list = write_pairs(dir, {"a", "b", "z"}), out = dir.path("run");
  dir.write("broken.png", std::string("no picture"));
  const std::string prompts = dir.write("prompts.csv", std::string("label,dark\na,dark0.png\na,broken.png\n"
                                                                   "b,dark1.png\nz,broken.png\n"));
  REQUIRE(train(list, out, {"--prompts", prompts}) == 0);
  const auto found = evaluation_of(out)["zero_shot"];
  CHECK(found["classes"] == 2);
  CHECK(found["prompts"] == 2);
  CHECK(found["samples"] == 5);  // of 16 .. 23 those of a and b
}

TEST_CASE("no sample is of a class whose prompts cancel out") {
  const nn::Features prompts{Tensor::from(std::vector<float>{1, 0, 0, 2, 0, -3}, {3, 2}), {4, 7, 7}};
  const Tensor samples = Tensor::from(std::vector<float>{-1, 0, 1, 1}, {2, 2});
  const auto scores = prompt_scores(prompts, {4, 7}, samples).to_vector<float>();
  CHECK(scores[0] == Approx(-1));
  CHECK(scores[1] == -2);
  CHECK(scores[2] == Approx(std::sqrt(0.5)));
  CHECK(scores[3] == -2);
}

TEST_CASE("kNN and probe are kept where the retrieval cannot be measured") {
  const TempDir dir;
  std::string gallery;
  for (int i = 100; i < 130; ++i) {
    gallery += file_of("bright", i) + "," + file_of("dark", i) + ",even,gallery\n";
    for (const char* side : {"bright", "dark"}) dir.write(file_of(side, i), std::string("no picture"));
  }
  const std::string list = write_pairs(dir, {"even", "odd"}, gallery), out = dir.path("run");
  REQUIRE(train(list, out) == 0);
  const auto found = evaluation_of(out);
  CHECK(found.contains("trained"));
  CHECK_FALSE(found.contains("retrieval"));
}
