// Pairs with texts on a side, through the whole program: pictures, recordings and texts beside captions.
#include "modalities/kinds.h"
#include "modalities/pair_parts.h"
#include "modalities/pair_prompts.h"
#include "modalities/pair_sides.h"
#include "modalities/pairs.h"
#include "modalities/texts.h"
#include "program/run_training.h"
#include "run/run_log.h"
#include "train/encoder_file.h"
#include "train/test_part.h"
#include "train/training_config.h"

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
#include <filesystem>
#include <set>
#include <string_view>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::TempDir;

namespace {

constexpr int things = 60;

/// Each thing has two captions, and no word is another thing's but those that all have.
std::string caption(int thing, bool second = false) {
  const std::string name = "thing" + std::to_string(thing);
  return second ? "here comes " + name + " once more" : "a drawing of " + name;
}

std::vector<std::uint8_t> drawing(int thing) {
  data::Picture picture{.height = 12, .width = 12, .channels = 3};
  const Random random(1, RandomPurpose::user, static_cast<std::uint32_t>(thing));
  for (std::uint32_t i = 0; i < 12 * 12 * 3; ++i) {
    picture.pixels.push_back(static_cast<std::uint8_t>(60 + 180 * random.uniform(i % 3)));
  }
  return data::png_bytes(picture, std::to_string(thing));
}

/// A list of each thing's picture, note, captions and number, two rows a thing.
std::string write_captions(const TempDir& dir) {
  std::string text = "image\tnote\tcaption\tnumber\n";
  for (int i = 0; i < things; ++i) {
    const std::string n = std::to_string(i);
    dir.write("images/" + n + ".png", drawing(i));
    dir.write("notes/" + n + ".wav", test::wav_of_samples(test::tone(2400, 200 + 20 * i, 8000)));
    for (const bool second : {false, true}) {
      text += "images/" + n + ".png\tnotes/" + n + ".wav\t" + caption(i, second) + "\tnumber " + n + "\n";
    }
  }
  return dir.write("captions.tsv", text);
}

int train(std::vector<std::string> words) {
  words.insert(words.begin(), {"train_pairs", "--threads", "1", "--device", "cpu"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  Pairs pairs;
  return run_training("train_pairs", static_cast<int>(arguments.size()), arguments.data(), pairs);
}

int begin(const std::string& list, const std::string& out, const std::string& columns,
          const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"--data",     list,    "--out",        out, "--epochs",        "2",
                                    "--size",     "8",     "--width",      "4", "--batch-size",    "16",
                                    "--head-out", "8",     "--knn-every",  "0", "--warmup-epochs", "0",
                                    "--columns",  columns, "--text-width", "8"};
  words.insert(words.end(), more.begin(), more.end());
  return train(words);
}

const std::vector<std::string> small_sounds = {"--sound-width", "4", "--sound-seconds", "0.3", "--sound-mels", "16"};

std::string text_of(const std::string& path) {
  const auto bytes = test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

nlohmann::ordered_json evaluation_of(const std::string& run) {
  const auto last = read_run_log(run + "/log.jsonl").back();
  REQUIRE(event_of(last) == "evaluation");
  return last;
}

nlohmann::ordered_json config_of(const std::string& run) {
  return nlohmann::ordered_json::parse(text_of(run + "/config.json"));
}

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.dtype() != DType::u8) return test::same_bits(a, b);
  return a.to_vector<std::uint8_t>() == b.to_vector<std::uint8_t>();
}

std::set<std::string> names_in(const std::string& run) {
  std::set<std::string> names;
  for (const NamedTensor& tensor : load_tensors(run + "/model.safetensors").tensors) names.insert(tensor.name);
  return names;
}

}  // namespace

TEST_CASE("pictures and captions train, are evaluated by what belongs together, and are shown") {
  const TempDir dir;
  const std::string list = write_captions(dir), out = dir.path("run");
  REQUIRE(begin(list, out, "image,caption") == 0);
  CHECK(config_of(out)["first"] == "picture");
  CHECK(config_of(out)["second"] == "text");
  const auto found = evaluation_of(out)["retrieval"];
  CHECK(found["image -> caption"]["queries"] == 12);  // a fifth of the things, whose captions stay with them
  CHECK(found["image -> caption"]["candidates"] == 24);
  CHECK(found["caption -> image"]["queries"] == 24);
  CHECK(found["caption -> image"]["candidates"] == 12);
  CHECK(found["caption -> image"]["chance"]["r1"].get<double>() == Approx(1.0 / 12));
  CHECK_FALSE(found["image -> caption"].contains("raw"));
  const std::string report = text_of(out + "/report.html");
  CHECK(report.find("src=\"data:image/png;base64,") != std::string::npos);
  CHECK(report.find("<span class=\"text\"") != std::string::npos);
  const bool captions = report.find("drawing of thing") != std::string::npos;
  CHECK((captions || report.find("comes thing") != std::string::npos));

  // The tokenizer is learned from what is trained on, and lies in the weights of the side that needs it.
  CHECK(names_in(out).contains("towers.1.encoder.tokenizer"));
  CHECK_FALSE(names_in(out).contains("towers.0.encoder.tokenizer"));
  Texts texts;
  const EncoderFile file = open_encoder(out, texts);
  CHECK(file.encoder->output_features() == 16);
  const auto tensors = load_tensors(out + "/model.safetensors").tensors;
  for (const NamedTensor& own : file.encoder->state()) {
    const auto same = std::find_if(tensors.begin(), tensors.end(), [&](const NamedTensor& each) {
      return each.name == "towers.1.encoder." + own.name;
    });
    REQUIRE(same != tensors.end());
    CHECK(same_values(own.value, same->value));
  }
  CHECK(texts.tokenizer().encode("thing2") == std::vector<std::int32_t>{0});  // every fifth group from the third on
  CHECK(texts.tokenizer().encode("thing3").front() > 0);

  // Outputs stay out of what the list names.
  CHECK(begin(list, dir.path("images/run"), "image,caption") == 1);
  CHECK_FALSE(std::filesystem::exists(dir.path("images/run")));
}

TEST_CASE("a run of captions that stopped goes on to the same bits with its tokenizer") {
  const TempDir dir;
  const std::string list = write_captions(dir), whole = dir.path("whole"), part = dir.path("part");
  REQUIRE(begin(list, whole, "image,caption", {"--no-evaluation"}) == 0);
  REQUIRE(begin(list, part, "image,caption", {"--no-evaluation", "--checkpoint-minutes", "0"}) == 0);
  std::filesystem::remove(part + "/model.safetensors");
  std::set<std::filesystem::path> checkpoints;
  for (const auto& entry : std::filesystem::directory_iterator(part + "/checkpoints")) {
    if (entry.path().extension() == ".safetensors") checkpoints.insert(entry.path());
  }
  REQUIRE(checkpoints.size() > 1);
  std::filesystem::remove(*checkpoints.rbegin());
  REQUIRE(train({"--resume", "--out", part}) == 0);
  const auto expected = load_tensors(whole + "/model.safetensors").tensors;
  const auto resumed = load_tensors(part + "/model.safetensors").tensors;
  REQUIRE(expected.size() == resumed.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(expected[i].name);
    CHECK(same_values(expected[i].value, resumed[i].value));
  }
}

TEST_CASE("a list's files are those that it names, and other texts in as many bytes are other data") {
  const TempDir dir;
  const std::string list = write_captions(dir);
  data::PathList files;
  const auto open = [&] {
    Datasets sets;
    open_pairs(
        {.data = list, .columns = "image,caption"}, [](std::string_view value) { return value.ends_with(".png"); },
        sets, files);
    return sets.within.at("the list");
  };
  const std::string before = open();
  CHECK(files.size() == 1 + things);
  CHECK(open() == before);
  std::string text = text_of(list);
  text.replace(text.find(caption(7)), caption(7).size(), caption(8));
  dir.write("captions.tsv", text);
  CHECK(open() != before);
}

TEST_CASE("a text finds pictures: both sides are embedded with their heads") {
  const TempDir dir;
  const std::string list = write_captions(dir), out = dir.path("run");
  REQUIRE(begin(list, out, "image,caption", {"--no-evaluation"}) == 0);
  const std::array<std::string, 2> halves = {dir.path("images/5.png"), caption(5)};
  for (const int side : {0, 1}) {
    const std::string& name = side_names()[static_cast<std::size_t>(side)];
    INFO(name);
    const auto kind = kind_of_weights(out, name);
    CHECK(kind->sample() == std::string(side == 0 ? "picture" : "text"));
    const EncoderFile file = open_side(out, *kind, name);
    const std::string& half = halves[static_cast<std::size_t>(side)];
    const Tensor z = embed_sample(file, kind->read(half, file), half);
    CHECK(z.shape() == Shape{1, 8});  // what the loss compares
    Pairs pairs;
    const EncoderFile tower = open_tower(out, pairs, side);
    CHECK(test::same_bits(z, embed_sample(tower, pairs.half_at(side)->read(half, 0), half)));
  }
  const auto texts = kind_of_weights(out, "second");
  const EncoderFile file = open_side(out, *texts, "second");
  CHECK_THAT(message_of([&] { texts->read("  ", file); }), Contains("give a text"));
  CHECK_THAT(message_of([&] { texts->check_sheet("a.png"); }), Contains("these weights are of texts"));
  const NamedSamples named = texts->open_named("auto", list, file, [](const std::string&) {});
  CHECK(named.samples->size() == 2 * things);  // the list's captions
  CHECK(named.samples->classes().front() == caption(0));
  LabelledPlace place;
  CHECK_THAT(message_of([&] { texts->fill_in(place, file, out); }), Contains("name labelled texts by --data"));
}

TEST_CASE("texts are found by texts, through one encoder or two") {
  const TempDir dir;
  const std::string list = write_captions(dir), shared = dir.path("shared"), apart = dir.path("apart");
  REQUIRE(begin(list, shared, "caption,number", {"--share-encoder"}) == 0);
  CHECK(config_of(shared)["first"] == "text");
  CHECK(config_of(shared)["second"] == "text");
  CHECK(evaluation_of(shared)["retrieval"]["caption -> number"]["candidates"] == 12);
  CHECK(names_in(shared).contains("towers.0.encoder.tokenizer"));
  CHECK_FALSE(names_in(shared).contains("towers.1.encoder.tokenizer"));
  REQUIRE(begin(list, apart, "caption,number", {"--no-evaluation"}) == 0);
  CHECK(names_in(apart).contains("towers.1.encoder.tokenizer"));
  for (const std::string& run : {shared, apart}) {
    for (const int side : {0, 1}) {
      Pairs pairs;
      const EncoderFile tower = open_tower(run, pairs, side);
      CHECK(embed_sample(tower, pairs.half_at(side)->read("number 3", 0), "number 3").shape() == Shape{1, 8});
    }
  }
  CHECK(begin(list, dir.path("two-kinds"), "image,caption", {"--share-encoder"}) == 1);
  CHECK(begin(list, dir.path("no-sound"), "image,caption", {"--second", "sound"}) == 1);
}

TEST_CASE("a side of a kind that is asked for takes the first column of it") {
  const TempDir dir;
  const nlohmann::ordered_json asked = {{"modality", "pairs"}, {"first", "sound"}};
  Pairs pairs;
  TrainingOptions options = options_from_json(asked, "asked", pairs);
  options.data_dir = write_captions(dir);
  CHECK_THAT(pairs.open(options).train->describe(), Contains("pairs of note and image"));
}

TEST_CASE("a side of any kind leaves the other the only column of the kind asked for") {
  const TempDir dir;
  const nlohmann::ordered_json asked = {{"modality", "pairs"}, {"second", "picture"}};
  Pairs pairs;
  TrainingOptions options = options_from_json(asked, "asked", pairs);
  options.data_dir = write_captions(dir);
  CHECK_THAT(pairs.open(options).train->describe(), Contains("pairs of note and image"));
}

TEST_CASE("recordings and captions are pairs") {
  const TempDir dir;
  const std::string list = write_captions(dir), out = dir.path("run");
  REQUIRE(begin(list, out, "caption,note", small_sounds) == 0);
  CHECK(config_of(out)["first"] == "text");
  CHECK(config_of(out)["second"] == "sound");
  CHECK(evaluation_of(out)["retrieval"]["note -> caption"]["candidates"] == 24);
  const std::string report = text_of(out + "/report.html");
  CHECK(report.find("src=\"data:audio/wav;base64,") != std::string::npos);
  CHECK(report.find("<span class=\"text\"") != std::string::npos);
  CHECK(kind_of_weights(out)->sample() == std::string("text"));  // without a side and pictures the first one's
}

TEST_CASE("prompts in words classify pictures") {
  const TempDir dir;
  write_captions(dir);
  std::string text = "image\tcaption\tlabel\tsplit\n";
  for (int i = 0; i < things; ++i) {
    text += "images/" + std::to_string(i) + ".png\t" + caption(i) + (i % 2 ? "\todd" : "\teven") +
            (i < 40 ? "\ttrain\n" : "\ttest\n");
  }
  const std::string list = dir.write("labelled.tsv", text), out = dir.path("run");
  const std::string prompts =
      dir.write("prompts.tsv", std::string("label\tcaption\neven\ta drawing of thing2\nodd\ta drawing of thing3\n"
                                           "odd\t\nneither\ta drawing\n"));
  REQUIRE(begin(list, out, "image,caption", {"--prompts", prompts}) == 0);
  const auto found = evaluation_of(out)["zero_shot"];
  CHECK(found["prompts"] == 2);  // one row has no text, one no class of these
  CHECK(found["classes"] == 2);
  CHECK(found["samples"] == 20);
}

TEST_CASE("a prompt that is no text, or in quotes, costs no more than itself") {
  const TempDir dir;
  std::string text = "image\tcaption\tlabel\n";
  for (int i = 0; i < 4; ++i) {
    dir.write("images/" + std::to_string(i) + ".png", drawing(i));
    text += "images/" + std::to_string(i) + ".png\t" + caption(i) + (i % 2 ? "\todd\n" : "\teven\n");
  }
  dir.write("labelled.tsv", text);
  const data::PairList list = data::read_pair_list(dir.path("labelled.tsv"), "image,caption",
                                                   [](std::string_view value) { return value.ends_with(".png"); });
  Pairs pairs;
  TrainingOptions options;
  use_recipe(options, pairs, "");
  options.data_dir = dir.path("labelled.tsv");
  pairs.open(options);  // which learns the tokens
  const auto prompts = [&](const std::string& name, const std::string& rows) {
    Datasets notes;
    const PairPrompts found = read_prompts(dir.write(name, rows), list, {pairs.half_at(0), pairs.half_at(1)}, notes);
    REQUIRE(notes.warnings.size() == 1);
    return std::pair(found.files.names, notes.warnings[0]);
  };
  const auto broken =
      prompts("prompts.csv", "label,caption\neven,a drawing\nodd,\"  \"\nodd,a \xff drawing\nodd,drawing of \n");
  CHECK(broken.first == std::vector<std::string>{"a drawing", "drawing of"});
  CHECK_THAT(broken.second, Contains("prompts.csv, line 3: has no caption (prompt left out)"));
  const auto quoted =
      prompts("prompts.tsv", "label\tcaption\neven\t\"drawing\" says a sign\nodd\t\"a drawing\nodd\t\n");
  CHECK(quoted.first == std::vector<std::string>{"\"drawing\" says a sign", "\"a drawing"});
  CHECK_THAT(quoted.second, Contains("prompts.tsv, line 4: has no caption (prompt left out)"));
}

TEST_CASE("captions lie in tar shards as .txt") {
  if (!data::reads_shards()) return;
  const TempDir dir;
  const auto tar_of = [](int from, int to) {
    std::string tar;
    for (int i = from; i < to; ++i) {
      const std::vector<std::uint8_t> png = drawing(i);
      tar += test::tar_member(std::to_string(i) + ".png", {png.begin(), png.end()});
      tar += test::tar_member(std::to_string(i) + ".txt", caption(i) + "\n");
    }
    return tar + std::string(1024, '\0');
  };
  const std::string shards = dir.write("tars/train-0.tar", tar_of(0, 40)), out = dir.path("run");
  dir.write("tars/test-0.tar", tar_of(40, things));
  REQUIRE(begin(shards, out, "png,txt", {"--cache-dir", dir.path("cache")}) == 0);
  CHECK(config_of(out)["second"] == "text");
  CHECK(evaluation_of(out)["retrieval"]["png -> txt"]["candidates"] == 20);
}

TEST_CASE("groups of pairs are held out whole, and paths among the options are known by their rows") {
  const TempDir dir;
  Pairs pairs;
  TrainingOptions options;
  use_recipe(options, pairs, "");
  options.data_dir = write_captions(dir);
  const OptionTable table = training_table(options, pairs);
  for (const OptionPath& each : pairs.paths()) CHECK(table.row_of(each.path).name() == each.option);
  CHECK(pairs.paths().size() == 2);
  const Datasets sets = pairs.open(options);  // of the first two columns of files
  CHECK(sets.groups == sets.train->groups());
  CHECK(sets.groups.size() == static_cast<std::size_t>(sets.train->size()));
}

TEST_CASE("pairs without a label are not trained on where others that share a half are held out") {
  const TempDir dir;
  write_captions(dir);
  for (const bool labels : {true, false}) {
    std::string text = "image\tcaption\tlabel\tsplit\n";
    for (int i = 0; i < 20; ++i) {  // the second caption has none
      const std::string image = "images/" + std::to_string(i) + ".png\t";
      text += image + caption(i) +
              (!labels ? "\t"
               : i % 2 ? "\todd"
                       : "\teven") +
              "\ttrain\n" + image + caption(i, true) + "\t\ttrain\n";
    }
    Pairs pairs;
    TrainingOptions options;
    use_recipe(options, pairs, "");
    options.data_dir = dir.write("some.tsv", text);
    Datasets sets = pairs.open(options);
    sets.labelled = sets.train;
    CHECK(hold_out(sets, 0.2, 0) == (labels ? "--hold-out: 4 pairs without a label are left out, since others that "
                                              "share a half with them are held back"
                                            : ""));
    REQUIRE(sets.held_out);
    CHECK(sets.held_out->size() == (labels ? 4 : 8));
    CHECK(sets.train->size() == 32);
    CHECK(sets.groups == sets.train->groups());
  }
}

TEST_CASE("pairs tell the folders of any list, opened or not") {
  const TempDir dir;
  for (const char* name : {"a/1.png", "b/1.wav"}) dir.write(name, std::string());
  const std::string list = dir.write("list.csv", std::string("image,sound\na/1.png,b/1.wav\n"));
  CHECK(Pairs().folders("auto", list) == dir.path("a") + "::" + dir.path("b"));
}
