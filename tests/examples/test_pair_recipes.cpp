// Pairs of pictures, and of pictures and recordings, through the whole program: trained, resumed, evaluated, looked at.
#include "check/check.h"
#include "modalities/kinds.h"
#include "modalities/pair_sides.h"
#include "modalities/pairs.h"
#include "modalities/pictures.h"
#include "modalities/sounds.h"
#include "program/run_training.h"
#include "run/run_log.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"

#include <simclr/data/pictures/image_io.h>
#include <simclr/data/shards.h>
#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/sounds.h"
#include "support/tar.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <filesystem>

using namespace simclr;
using test::message_of;
using test::TempDir;

namespace {

constexpr int things = 60;

/// Thing i is a colour of its own: bright on black, or dark on white.
void write_drawing(const TempDir& dir, const std::string& name, int thing, bool dark) {
  data::Picture picture{.height = 12, .width = 12, .channels = 3};
  const Random random(1, RandomPurpose::user, static_cast<std::uint32_t>(thing));
  for (int i = 0; i < 144; ++i) {
    const bool inside = i / 12 >= 3 && i / 12 < 9 && i % 12 >= 3 && i % 12 < 9;
    for (std::uint32_t c = 0; c < 3; ++c) {
      const int level = static_cast<int>(dark ? 120 * random.uniform(c) : 110 + 140 * random.uniform(c));
      picture.pixels.push_back(static_cast<std::uint8_t>(inside ? level : dark ? 255 : 0));
    }
  }
  const auto bytes = data::png_bytes(picture, name);
  dir.write(name, bytes);
}

/// A list of two drawings of each thing, of its note, and of a broken and a missing half.
std::string write_pairs(const TempDir& dir) {
  std::string text = "bright\tdark\tnote\n";
  for (int i = 0; i < things; ++i) {
    const std::string n = std::to_string(i);
    write_drawing(dir, "bright/" + n + ".png", i, false);
    write_drawing(dir, "dark/" + n + ".png", i, true);
    dir.write("notes/" + n + ".wav", test::wav_of_samples(test::tone(2400, 200 + 20 * i, 8000)));
    text += "bright/" + n + ".png\tdark/" + n + ".png\tnotes/" + n + ".wav\n";
  }
  dir.write("bright/broken.png", std::string("no picture"));
  text += "bright/broken.png\tdark/0.png\tnotes/0.wav\n";
  text += "bright/1.png\tdark/gone.png\tnotes/gone.wav\n";
  return dir.write("pairs.tsv", text);
}

int train(std::vector<std::string> words) {
  words.insert(words.begin(), {"train_pairs", "--threads", "1", "--device", "cpu"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  Pairs pairs;
  return run_training("train_pairs", static_cast<int>(arguments.size()), arguments.data(), pairs);
}

/// `more` says some of the words anew: --name value.
int begin(const std::string& list, const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"--data",       list, "--out",       out, "--epochs",        "3",
                                    "--batch-size", "16", "--size",      "8", "--width",         "4",
                                    "--head-out",   "8",  "--knn-every", "0", "--warmup-epochs", "0"};
  for (const std::string& word : more) {
    const auto said = word.starts_with("--") ? std::find(words.begin(), words.end(), word) : words.end();
    if (said != words.end()) words.erase(said, said + 2);
  }
  words.insert(words.end(), more.begin(), more.end());
  return train(words);
}

std::string text_of(const std::string& path) {
  const auto bytes = test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

/// Leaves a run as a kill behind the last step but one does.
void unfinish(const std::string& run) {
  std::filesystem::remove(run + "/model.safetensors");
  std::filesystem::path last;
  for (const auto& entry : std::filesystem::directory_iterator(run + "/checkpoints")) {
    if (entry.path().extension() == ".safetensors" && (last.empty() || entry.path() > last)) last = entry.path();
  }
  REQUIRE_FALSE(last.empty());
  std::filesystem::remove(last);
}

nlohmann::ordered_json evaluation_of(const std::string& run) {
  const auto last = read_run_log(run + "/log.jsonl").back();
  REQUIRE(event_of(last) == "evaluation");
  return last;
}

}  // namespace

TEST_CASE("two drawings train, stop nowhere for a broken half, are evaluated both ways and reported") {
  const TempDir dir;
  const std::string list = write_pairs(dir), out = dir.path("run");
  REQUIRE(begin(list, out) == 0);
  const auto found = evaluation_of(out)["retrieval"];
  REQUIRE(found.size() == 2);
  for (const char* direction : {"bright -> dark", "dark -> bright"}) {
    INFO(direction);
    const auto& figures = found[direction];
    CHECK(figures["candidates"] == 12);
    CHECK(figures["queries"] == 12);
    CHECK(figures["chance"]["r1"].get<double>() == Approx(1.0 / 12));
    CHECK(figures["chance"]["r10"].get<double>() == Approx(10.0 / 12));
    for (const char* of : {"trained", "untrained", "raw"}) CHECK(figures[of]["r10"].get<double>() <= 1);
    CHECK_FALSE(figures.contains("encoder"));  // two encoders' features are in two spaces
  }
  const std::string report = text_of(out + "/report.html");
  CHECK(report.find("bright -&gt; dark, among 12") != std::string::npos);
  CHECK(report.find("that the towers put nearest to it") != std::string::npos);
  CHECK(report.find("\u2713") != std::string::npos);
  const auto config = nlohmann::ordered_json::parse(text_of(out + "/config.json"));
  CHECK(config["first"] == "picture");
  CHECK(config["second"] == "picture");
  CHECK(config["modality"] == "pairs");
  bool learned = false;
  for (const NamedTensor& tensor : load_tensors(out + "/model.safetensors").tensors) {
    learned = learned || tensor.name == "logit_scale";
  }
  CHECK(learned);
}

TEST_CASE("training on pairs finds unseen ones") {
  const TempDir dir;
  const std::string list = write_pairs(dir), out = dir.path("run");
  // What a thing is is its colour, which views must leave.
  REQUIRE(begin(list, out,
                {"--epochs", "60", "--lr", "0.03", "--jitter-probability", "0", "--grayscale-probability", "0",
                 "--crop-min", "0.9"}) == 0);
  const auto figures = evaluation_of(out)["retrieval"]["bright -> dark"];
  CHECK(figures["trained"]["r5"].get<double>() > figures["chance"]["r5"].get<double>() + 0.2);
}

TEST_CASE("a run of pairs that stopped goes on to the same bits") {
  const TempDir dir;
  const std::string list = write_pairs(dir), whole = dir.path("whole"), part = dir.path("part");
  REQUIRE(begin(list, whole, {"--no-evaluation"}) == 0);
  REQUIRE(begin(list, part, {"--no-evaluation", "--checkpoint-minutes", "0"}) == 0);
  unfinish(part);
  REQUIRE(train({"--resume", "--out", part}) == 0);
  const auto expected = load_tensors(whole + "/model.safetensors").tensors;
  const auto resumed = load_tensors(part + "/model.safetensors").tensors;
  REQUIRE(expected.size() == resumed.size());
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(test::same_bits(expected[i].value, resumed[i].value));
  // The list is part of the data.
  std::string longer = text_of(list);
  for (int i = 2; i < 7; ++i) {
    longer += "bright/" + std::to_string(i) + ".png\tdark/" + std::to_string(i + 1) + ".png\tnotes/2.wav\n";
  }
  dir.write("pairs.tsv", longer);
  CHECK(train({"--resume", "--out", part}) != 0);
}

TEST_CASE("pictures and recordings are pairs, and weights of pairs serve programs for pictures") {
  const TempDir dir;
  const std::string list = write_pairs(dir), out = dir.path("run");
  REQUIRE(begin(list, out,
                {"--columns", "note,dark", "--sound-width", "4", "--sound-seconds", "0.3", "--sound-mels", "16"}) == 0);
  const auto found = evaluation_of(out)["retrieval"]["note -> dark"];
  CHECK(found["candidates"] == 12);
  CHECK_FALSE(found.contains("raw"));  // a recording's values are no picture's
  const std::string report = text_of(out + "/report.html");
  CHECK(report.find("src=\"data:audio/wav;base64,") != std::string::npos);
  CHECK(report.find("src=\"data:image/png;base64,") != std::string::npos);

  // The encoder of pictures is the second tower's.
  Pictures pictures;
  const EncoderFile encoder = open_encoder(out, pictures);
  const auto tensors = load_tensors(out + "/model.safetensors").tensors;
  for (const NamedTensor& own : encoder.encoder->state()) {
    const auto same = std::find_if(tensors.begin(), tensors.end(), [&](const NamedTensor& each) {
      return each.name == "towers.1.encoder." + own.name;
    });
    REQUIRE(same != tensors.end());
    CHECK(test::same_bits(own.value, same->value));
  }
  // What finetune leaves has this encoder alone.
  std::vector<NamedTensor> alone;
  for (const NamedTensor& own : encoder.encoder->state()) alone.push_back({"encoder." + own.name, own.value});
  const std::string finetuned = dir.path("finetuned.safetensors");
  save_tensors(finetuned, alone, {{"format", "simclr"}, {"config", encoder.config.dump()}});
  const auto again = open_encoder(finetuned, pictures).encoder->state();
  REQUIRE(again.size() == alone.size());
  for (std::size_t i = 0; i < again.size(); ++i) CHECK(test::same_bits(again[i].value, alone[i].value));
  // And that of recordings the first's.
  Sounds sounds;
  CHECK(open_encoder(out, sounds).encoder->output_features() == 32);
  CHECK(sounds.own().mels == 16);
}

TEST_CASE("a half of either side is embedded with its head, so that it finds the other") {
  const TempDir dir;
  const std::string list = write_pairs(dir), out = dir.path("run");
  REQUIRE(begin(list, out,
                {"--columns", "note,dark", "--sound-width", "4", "--sound-seconds", "0.3", "--sound-mels", "16",
                 "--no-evaluation"}) == 0);
  const std::array<std::string, 2> halves = {dir.path("notes/5.wav"), dir.path("dark/5.png")};
  for (const int side : {0, 1}) {
    INFO(side_names()[static_cast<std::size_t>(side)]);
    const auto kind = kind_of_weights(out, side_names()[static_cast<std::size_t>(side)]);
    CHECK(kind->sample() == std::string(side == 0 ? "recording" : "picture"));
    const EncoderFile file = open_side(out, *kind, side_names()[static_cast<std::size_t>(side)]);
    const std::string& half = halves[static_cast<std::size_t>(side)];
    const Tensor z = embed_sample(file, kind->read(half, file), half);
    CHECK(z.shape() == Shape{1, 8});  // what the loss compares
    // As the model itself has it.
    Pairs pairs;
    const EncoderFile tower = open_tower(out, pairs, side);
    const Tensor same = embed_sample(tower, pairs.half_at(side)->read(half, 0), half);
    CHECK(test::same_bits(z, same));
    CHECK_THROWS(kind->read(halves[static_cast<std::size_t>(1 - side)], file));
  }
  CHECK(kind_of_weights(out)->sample() == std::string("picture"));  // without a side pictures come first
  Pictures pictures;
  const EncoderFile bare = open_side(out, *kind_of_weights(out), "none");
  CHECK(bare.encoder->output_features() == 32);  // without the head
  LabelledPlace place;
  CHECK_THAT(message_of([&] { kind_of_weights(out)->fill_in(place, bare, out); }),
             Catch::Contains("was trained on pairs; name labelled pictures by --data"));
}

TEST_CASE("one encoder may serve both sides, and both towers are read back with it") {
  const TempDir dir;
  const std::string list = write_pairs(dir), out = dir.path("run");
  REQUIRE(begin(list, out, {"--share-encoder", "--no-evaluation"}) == 0);
  std::vector<std::vector<NamedTensor>> towers;
  for (const int side : {0, 1}) {
    Pairs pairs;
    towers.push_back(open_tower(out, pairs, side).encoder->state());
  }
  REQUIRE(towers[0].size() == towers[1].size());
  for (std::size_t i = 0; i < towers[0].size(); ++i) {
    if (!towers[0][i].name.starts_with("encoder.")) continue;
    CHECK(test::same_bits(towers[0][i].value, towers[1][i].value));
  }
  CHECK(begin(list, dir.path("two-kinds"), {"--share-encoder", "--columns", "note,dark"}) == 1);
}

TEST_CASE("weights of recordings alone have no encoder of pictures") {
  Pictures pictures;
  CHECK(pictures.tower_in({{"modality", "pictures"}}) == 0);
  CHECK(pictures.tower_in({{"modality", "pairs"}, {"first", "picture"}, {"second", "picture"}}) == 0);
  CHECK(pictures.tower_in({{"modality", "pairs"}, {"first", "sound"}, {"second", "picture"}}) == 1);
  CHECK(pictures.tower_in({{"modality", "pairs"}, {"first", "sound"}, {"second", "sound"}}) == -1);
  CHECK(pictures.tower_in({{"modality", "clips"}}) == -1);
  CHECK(Sounds().tower_in({{"modality", "pairs"}, {"first", "picture"}, {"second", "sound"}}) == 1);
  CHECK(Sounds().tower_in({{"modality", "pairs"}, {"first", "picture"}, {"second", "picture"}}) == -1);
  CHECK(Pairs().tower_in({{"modality", "pairs"}}) == 0);
  CHECK(Pairs().tower_in({{"modality", "pictures"}}) == -1);
}

TEST_CASE("test pairs without a label are asked for, and kNN leaves them out") {
  const TempDir dir;
  write_pairs(dir);
  const auto evaluation = [&](int labelled) {
    std::string text = "bright\tdark\tlabel\tsplit\n";
    for (int i = 0; i < things; ++i) {
      const std::string n = std::to_string(i), label = i >= labelled ? "" : i % 2 ? "odd" : "even";
      text += "bright/" + n + ".png\tdark/" + n + ".png\t" + label + (i < 40 ? "\ttrain\n" : "\ttest\n");
    }
    const std::string out = dir.path("run" + std::to_string(labelled));
    REQUIRE(begin(dir.write("labelled.tsv", text), out) == 0);
    return evaluation_of(out);
  };
  const auto some = evaluation(50), none = evaluation(40);
  CHECK(some["retrieval"]["bright -> dark"]["queries"] == 20);
  CHECK(some["trained"]["knn"]["count"] == 10);
  CHECK(none["retrieval"]["bright -> dark"]["queries"] == 20);
  CHECK_FALSE(none.contains("trained"));
}

TEST_CASE("prompts of one side classify the other, without a label to train on") {
  const TempDir dir;
  write_pairs(dir);
  std::string text = "bright\tdark\tlabel\tsplit\n", prompts = "label\tdark\n";
  for (int i = 0; i < things; ++i) {
    const std::string n = std::to_string(i),
                      both = "bright/" + n + ".png\tdark/" + n + ".png\t" + (i % 2 ? "odd" : "even");
    text += both + (i < 40 ? "\ttrain\n" : "\ttest\n");
    if (i >= 40 && i < 50) prompts += std::string(i % 2 ? "odd" : "even") + "\tdark/" + n + ".png\n";
  }
  prompts += "neither\tdark/3.png\nodd\tdark\n";
  const std::string list = dir.write("labelled.tsv", text), asked = dir.write("prompts.tsv", prompts);
  const std::string out = dir.path("run");
  REQUIRE(begin(list, out, {"--prompts", asked}) == 0);
  const auto found = evaluation_of(out)["zero_shot"];
  CHECK(found["prompts"] == 10);
  CHECK(found["classes"] == 2);
  CHECK(found["samples"] == 20);
  CHECK(found["chance"]["mean_recall"].get<double>() == Approx(0.5));
  CHECK(found["chance"]["top1"].get<double>() == Approx(0.5));
  CHECK(found["trained"].contains("top1"));
  CHECK(text_of(out + "/report.html").find("Zero-shot") != std::string::npos);

  // Each picture is of the prompt that the towers put nearest.
  Pairs pairs;
  const EncoderFile first = open_tower(out, pairs, 0), second = open_tower(out, pairs, 1);
  const auto z = [&](const EncoderFile& tower, const std::string& path) {
    return nn::normalize(embed_sample(tower, pairs.half_at(0)->read(dir.path(path), 0), path));
  };
  std::array<Tensor, 2> classes = {Tensor::zeros({1, 8}), Tensor::zeros({1, 8})};
  for (int i = 40; i < 50; ++i) {
    Tensor& sum = classes[static_cast<std::size_t>(i % 2)];
    sum = nn::add(sum, z(second, "dark/" + std::to_string(i) + ".png"));
  }
  int right = 0;
  for (int i = 40; i < things; ++i) {
    const Tensor own = z(first, "bright/" + std::to_string(i) + ".png");
    const bool odd = nn::similarity(own, classes[1]).item() > nn::similarity(own, classes[0]).item();
    right += odd == (i % 2 == 1);
  }
  CHECK(found["trained"]["top1"].get<double>() == Approx(right / 20.0));

  // What is trained on needs no label.
  for (std::size_t at = 0; (at = text.find("\todd\ttrain", at)) != std::string::npos;) text.erase(at + 1, 3);
  for (std::size_t at = 0; (at = text.find("\teven\ttrain", at)) != std::string::npos;) text.erase(at + 1, 4);
  const std::string unlabelled = dir.path("unlabelled");
  REQUIRE(begin(dir.write("unlabelled.tsv", text), unlabelled, {"--prompts", asked}) == 0);
  CHECK(evaluation_of(unlabelled)["zero_shot"]["samples"] == 20);

  CHECK(begin(write_pairs(dir), dir.path("no-classes"), {"--columns", "bright,dark", "--prompts", asked}) == 1);
  CHECK(begin(list, dir.path("no-side"),
              {"--prompts", dir.write("other.tsv", std::string("label\tink\nodd\ta.png\n"))}) == 1);
}

TEST_CASE("pairs in tar shards train and are evaluated on the shards called test") {
  if (!data::reads_shards()) return;
  const TempDir dir;
  write_pairs(dir);
  const auto tar_of = [&](int begin, int end) {
    std::string tar;
    for (int i = begin; i < end; ++i) {
      const std::string n = std::to_string(i);
      tar += test::tar_member(n + ".bright.png", text_of(dir.path("bright/" + n + ".png")));
      tar += test::tar_member(n + ".wav", text_of(dir.path("notes/" + n + ".wav")));
    }
    return tar + std::string(1024, '\0');
  };
  const std::string train_part = dir.write("tars/train-0.tar", tar_of(0, 40));
  dir.write("tars/test-0.tar", tar_of(40, things));
  const std::string out = dir.path("run");
  const std::vector<std::string> sound = {"--sound-width", "4", "--sound-seconds", "0.3", "--sound-mels", "16"};
  std::vector<std::string> words = sound;
  words.insert(words.end(), {"--cache-dir", dir.path("cache"), "--checkpoint-minutes", "0"});
  REQUIRE(begin(train_part, out, words) == 0);
  const auto found = evaluation_of(out)["retrieval"]["bright.png -> wav"];
  CHECK(found["queries"] == 20);
  CHECK(found["candidates"] == 20);
  const auto config = nlohmann::ordered_json::parse(text_of(out + "/config.json"));
  CHECK(config["first"] == "picture");
  CHECK(config["second"] == "sound");
  // Fewer samples in a shard are another run.
  unfinish(out);
  dir.write("tars/train-0.tar", tar_of(0, 39));
  CHECK(train({"--resume", "--out", out}) != 0);
  dir.write("tars/train-0.tar", tar_of(0, 40));
  CHECK(train({"--resume", "--out", out}) == 0);
}

TEST_CASE("--check looks at pairs, and says where most hang together") {
  const TempDir dir;
  const std::string list = write_pairs(dir);
  const Pairs pairs;
  const data::PairList read =
      data::read_pair_list(list, "bright,dark", [](std::string_view value) { return value.ends_with(".png"); });
  const auto findings = [&](const data::PairList& of) {
    Datasets sets;
    sets.sample_name = "pair";
    sets.train = data::pair_dataset(
        of, {files_of(pairs.half_at(0), halves_of(of, 0)), files_of(pairs.half_at(1), halves_of(of, 1))});
    Findings found;
    pairs.look({.sets = sets, .towers = {}}, found);
    return found;
  };
  REQUIRE(findings(read).size() == 1);
  CHECK(findings(read)[0].about == "unreadable pairs");
  CHECK_THAT(findings(read)[0].problem, Catch::Contains("1 of 61 pairs") && Catch::Contains("broken.png"));
  data::PairList shared = read;
  for (auto& group : shared.groups) group = 0;
  REQUIRE(findings(shared).size() == 2);
  CHECK(findings(shared)[1].unusable);
  CHECK_THAT(findings(shared)[1].problem, Catch::Contains("pairs hang together"));
}
