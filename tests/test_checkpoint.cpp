#include "support/broken_disk.h"
#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

#include <simclr/simclr.h>

#include <fstream>

using namespace simclr;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// A small run: a model with batch norm, and an optimizer with momentum.
struct Run {
  explicit Run(std::uint64_t seed = 1)
      : model({.encoder = nn::resnet18({.width = 4, .seed = seed}), .head = {.out = 8, .seed = seed}}),
        optimizer(model.parameters(), nn::SgdOptions{.weight_decay = 1e-4},
                  nn::warmup_cosine({.peak = 0.1, .steps = 10})) {}

  float step(int number) {
    const Tensor x = test::random_tensor({8, 8, 8, 3}, static_cast<std::uint64_t>(number), DType::f32);
    const Tensor loss = nn::nt_xent(model(x), {.temperature = 0.5});
    loss.backward();
    optimizer.step();
    return static_cast<float>(loss.item());
  }

  nn::SimCLR model;
  nn::Sgd optimizer;
};

std::vector<std::vector<float>> values_of(const Run& run) {
  std::vector<std::vector<float>> out;
  for (const NamedTensor& t : run.model.state()) out.push_back(t.value.to_vector<float>());
  for (const NamedTensor& t : run.optimizer.state()) out.push_back(t.value.to(DType::f32).to_vector<float>());
  return out;
}

}  // namespace

TEST_CASE("A run that goes on from a checkpoint ends with the same bits") {
  const test::TempDir dir;
  Run whole;
  for (int i = 0; i < 3; ++i) whole.step(i);
  nn::save_checkpoint(dir.path("a.safetensors"), whole.model, whole.optimizer, {{"epoch", "3"}});
  for (int i = 3; i < 6; ++i) whole.step(i);

  Run resumed(2);
  const nn::Metadata metadata = nn::load_checkpoint(dir.path("a.safetensors"), resumed.model, resumed.optimizer);
  CHECK(metadata.at("epoch") == "3");
  CHECK(resumed.optimizer.steps() == 3);
  for (int i = 3; i < 6; ++i) resumed.step(i);
  CHECK(values_of(resumed) == values_of(whole));
}

TEST_CASE("A checkpoint of two towers carries their learned temperature, and goes on to the same bits") {
  struct Pairs {
    explicit Pairs(std::uint64_t seed, bool learned = true)
        : model({.encoders = {linear(), linear()},
                 .heads = {{{.hidden = 8, .out = 4}, {.hidden = 8, .out = 4, .seed = 1}}},
                 .loss = {.temperature = 0.2},
                 .learn_temperature = learned}),
          optimizer((model.initialize(seed), model.parameters()), {}, nn::constant(0.05)) {}
    static std::shared_ptr<nn::Module> linear() {
      return std::make_shared<nn::Linear>(nn::LinearOptions{.in = 6, .out = 8});
    }
    void steps(std::uint64_t from, std::uint64_t to) {
      for (std::uint64_t i = from; i < to; ++i) {
        const Tensor x = test::random_tensor({8, 6}, i, DType::f32);
        const Tensor loss = model.loss_of(std::vector<Input>{x, x});
        loss.backward();
        optimizer.step(loss);
      }
    }
    double scale() const { return model.parameters().front().value.item(); }

    nn::TwoTowers model;
    nn::AdamW optimizer;
  };
  const test::TempDir dir;
  const std::string path = dir.path("pairs.safetensors");
  Pairs whole(1), resumed(2), fixed(1, false);
  const double first = whole.scale();
  whole.steps(0, 3);
  nn::save_checkpoint(path, whole.model, whole.optimizer);
  const double saved = whole.scale();
  CHECK(saved != first);
  whole.steps(3, 6);
  nn::load_checkpoint(path, resumed.model, resumed.optimizer);
  CHECK(resumed.scale() == saved);
  resumed.steps(3, 6);
  const auto state_of = [](const Pairs& run) {
    std::vector<std::vector<float>> out;
    for (const auto& state : {run.model.state(), run.optimizer.state()}) {
      for (const NamedTensor& t : state) out.push_back(t.value.to(DType::f32).to_vector<float>());
    }
    return out;
  };
  CHECK(state_of(resumed) == state_of(whole));
  CHECK_THROWS_WITH(nn::load_checkpoint(path, fixed.model, fixed.optimizer), Contains("logit_scale"));
  nn::save_checkpoint(path, fixed.model, fixed.optimizer);
  CHECK_THROWS_WITH(nn::load_checkpoint(path, resumed.model, resumed.optimizer), Contains("logit_scale"));
}

TEST_CASE("Nothing that is NaN or Inf is saved, and what was saved before stays") {
  const test::TempDir dir;
  const std::string path = dir.path("a.safetensors");
  Run run;
  run.step(0);
  nn::save_checkpoint(path, run.model, run.optimizer);
  const auto before = test::read_bytes(path);
  const auto refused = [&](const std::string& message) {
    CHECK_THROWS_WITH(nn::save_checkpoint(path, run.model, run.optimizer), Contains(message));
    CHECK(test::read_bytes(path) == before);
    nn::load_checkpoint(path, run.model, run.optimizer);
    nn::save_checkpoint(path, run.model, run.optimizer);  // as good as before
  };
  const auto state = run.model.state();
  const auto spoil = [](const Tensor& tensor) { tensor.detach().reshape({tensor.numel()}).narrow(1, 1).fill(NAN); };
  spoil(state.front().value);
  refused(state.front().name + ": 1 of");
  spoil(state.back().value);  // running statistics
  refused(state.back().name + ": 1 of");
  spoil(run.optimizer.state().back().value);
  refused("NaN or Inf at update 1");
  const Tensor views = test::random_tensor({8, 8, 8, 3}, 9, DType::f32);
  views.narrow(3, 1).fill(INFINITY);
  nn::nt_xent(run.model(views)).backward();
  run.optimizer.step();
  CHECK(run.optimizer.bad_step() == 1);
  refused("NaN or Inf");
}

TEST_CASE("Weights with NaN or Inf are not loaded, whoever wrote them") {
  const test::TempDir dir;
  const std::string path = dir.path("a.safetensors");
  Run run;
  run.step(0);
  nn::save_checkpoint(path, run.model, run.optimizer);
  const std::vector<std::vector<float>> before = values_of(run);
  TensorFile file = load_tensors(path);
  NamedTensor& spoiled = file.tensors[3];
  spoiled.value.reshape({spoiled.value.numel()}).narrow(0, 2).fill(NAN);
  save_tensors(path, file.tensors, file.metadata);
  CHECK_THROWS_WITH(nn::load_checkpoint(path, run.model, run.optimizer),
                    Contains(path + ": " + spoiled.name + ": 2 of"));
  CHECK(values_of(run) == before);
}

namespace {

/// An encoder and a head with optimizers of their own, of two kinds.
struct TwoOptimizers {
  explicit TwoOptimizers(std::uint64_t seed)
      : model({.encoder = nn::resnet18({.width = 4, .seed = seed}), .head = {.out = 8, .seed = seed}}),
        encoder(model.encoder().parameters(), nn::SgdOptions{}, nn::constant(0.05)),
        head(model.head().parameters(), nn::AdamWOptions{}, nn::constant(0.01)) {}

  void step(int number) {
    const Tensor x = test::random_tensor({8, 8, 8, 3}, static_cast<std::uint64_t>(number), DType::f32);
    nn::nt_xent(model(x)).backward();
    encoder.step();
    head.step();
  }
  nn::Optimizers both() { return {{"encoder", &encoder}, {"head", &head}}; }
  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> out;
    for (const auto& state : {model.state(), encoder.state(), head.state()}) {
      for (const NamedTensor& t : state) out.push_back(t.value.to(DType::f32).to_vector<float>());
    }
    return out;
  }

  nn::SimCLR model;
  nn::Sgd encoder;
  nn::AdamW head;
};

}  // namespace

TEST_CASE("A checkpoint of several optimizers goes on to the same bits") {
  const test::TempDir dir;
  const std::string path = dir.path("two.safetensors"), one = dir.path("one.safetensors");
  TwoOptimizers whole(1), resumed(2);
  for (int i = 0; i < 2; ++i) whole.step(i);
  nn::save_checkpoint(path, whole.model, whole.both(), {{"epoch", "2"}});
  CHECK(nn::load_checkpoint(path, resumed.model, resumed.both()).at("epoch") == "2");
  CHECK(resumed.values() == whole.values());
  whole.step(2);
  resumed.step(2);
  CHECK(resumed.values() == whole.values());

  const auto refused = [&](const std::string& file, const nn::Optimizers& optimizers) {
    return test::message_of([&] { nn::load_checkpoint(file, resumed.model, optimizers); });
  };
  CHECK_THAT(refused(path, {{"encoder", &resumed.encoder}}),
             Contains("it holds optimizer.head.") && Contains("an optimizer that is not given"));
  CHECK_THAT(refused(path, {{"encoder", &resumed.encoder}, {"other", &resumed.head}}),
             Contains("it holds no state of optimizer.other.; its first is optimizer.head."));
  CHECK_THAT(refused(path, {{"encoder", &resumed.head}, {"head", &resumed.encoder}}), Contains(path + ": optimizer: "));
  CHECK_THAT(refused(path, {{"a.b", &resumed.head}}), Contains("called 'a.b'"));
  CHECK_THAT(refused(path, {}), Contains("no optimizers are given"));
  CHECK_THAT(test::message_of([&] {
               nn::save_checkpoint(one, whole.model, {{"", &whole.head}});
             }),
             Contains("called ''"));
  CHECK_THAT(test::message_of([&] { nn::load_checkpoint(path, resumed.model, resumed.encoder); }),
             Contains("optimizer: load_state"));
  nn::save_checkpoint(one, whole.model, whole.encoder);
  CHECK_THAT(refused(one, resumed.both()), Contains("it holds no state of optimizer.encoder."));
  CHECK(resumed.values() == whole.values());
}

TEST_CASE("The folder keeps the last checkpoints and the best") {
  const test::TempDir dir;
  const fs::path folder = dir.path("checkpoints");
  nn::CheckpointFolder checkpoints(folder, 2);
  CHECK(checkpoints.list().empty());
  Run run;
  CHECK(!checkpoints.load_newest(run.model, run.optimizer));
  for (int i = 0; i < 4; ++i) {
    run.step(i);
    checkpoints.save(run.model, run.optimizer, {{"number", std::to_string(i)}}, i == 1);
  }
  std::ofstream(folder / "step-00000009.safetensors.simclr-tmp") << "a killed save's";
  checkpoints.save(run.model, run.optimizer, {{"number", "3"}});
  const auto files = checkpoints.list();
  REQUIRE(files.size() == 2);
  CHECK(files[0].step == 4);
  CHECK(files[0].path.filename() == "step-00000004.safetensors");
  CHECK(files[1].step == 3);
  Run other(2);
  CHECK(nn::load_checkpoint(folder / "best.safetensors", other.model, other.optimizer).at("number") == "1");
  CHECK(other.optimizer.steps() == 2);
  checkpoints.save(run.model, run.optimizer, {{"number", "better"}}, true);
  CHECK(nn::load_checkpoint(folder / "best.safetensors", other.model, other.optimizer).at("number") == "better");
  CHECK(std::distance(fs::directory_iterator(folder), fs::directory_iterator()) == 3);

  fs::create_directories(folder / "best.safetensors.link" / "in the way");  // as where there are no links
  checkpoints.save(run.model, run.optimizer, {{"number", "best"}}, true);
  CHECK(nn::load_checkpoint(folder / "best.safetensors", other.model, other.optimizer).at("number") == "best");
}

TEST_CASE("Whatever call fails in a save, the checkpoint before or the new one loads, and the best one too") {
  struct Tiny : nn::Module {
    std::shared_ptr<nn::Linear> fc =
        add_module("fc", std::make_shared<nn::Linear>(nn::LinearOptions{.in = 2, .out = 2}));
    Tiny() { fc->initialize(1); }
    Tensor forward(const Input& input) override { return (*fc)(input.x); }
  };
  using test::disk;
  int failures = 0;
  for (const std::string failing :
       {"open", "write", "fsync", "close", "rename", "open on", "write on", "fsync on", "close on", "rename on"}) {
    const bool lasting = failing.ends_with(" on");  // all calls after it fail, too
    const std::string kind = failing.substr(0, failing.find(' '));
    for (int number = 1; number < 100; ++number) {
      CAPTURE(failing, number);
      const test::TempDir dir;
      nn::CheckpointFolder checkpoints(dir.path(), 1);
      Tiny model, other;
      nn::Sgd optimizer(model.parameters(), {}, nn::constant(0.1)), others(other.parameters(), {}, nn::constant(0.1));
      const auto step = [&] {
        nn::sum(model(test::random_tensor({2, 2}, 1, DType::f32))).backward();
        optimizer.step();
      };
      step();
      checkpoints.save(model, optimizer, {{"number", "old"}}, true);
      step();
      disk = {.watch = true, .kind = kind, .failing = number, .lasting = lasting, .error = ENOSPC};
      const std::string message = test::message_of([&] {
        checkpoints.save(model, optimizer, {{"number", "new"}}, true);
      });
      disk.watch = false;
      const bool failed = disk.count >= number;
      std::vector<std::string> warnings;
      const auto found =
          checkpoints.load_newest(other, others, [&](const std::string& text) { warnings.push_back(text); });
      const std::string best = nn::load_checkpoint(dir.path("best.safetensors"), other, others).at("number");
      CHECK(warnings.empty());
      REQUIRE(found);
      CHECK((best == "old" || found->at("number") == "new"));
      if (message == "no error") {
        CHECK((best == "new" && found->at("number") == "new"));
      } else {
        CHECK_THAT(message, Contains("No space left on device") && !Contains("\n"));
      }
      if (!failed) break;
      ++failures;
    }
  }
  CHECK(failures > 8);
}

TEST_CASE("A checkpoint that does not read back replaces and removes nothing") {
  const test::TempDir dir;
  nn::CheckpointFolder checkpoints(dir.path(), 1);
  Run run, other(2);
  run.step(0);
  checkpoints.save(run.model, run.optimizer, {{"number", "old"}}, true);
  for (const bool same_step : {true, false}) {
    if (!same_step) run.step(1);
    test::disk = {.watch = true, .kind = "flip", .failing = 3};
    const std::string message = test::message_of([&] {
      checkpoints.save(run.model, run.optimizer, {{"number", "new"}}, true);
    });
    test::disk.watch = false;
    CHECK_THAT(message, Contains("does not read back") && Contains("digest differs") && !Contains("\n"));
    CHECK(checkpoints.load_newest(other.model, other.optimizer)->at("number") == "old");
    CHECK(nn::load_checkpoint(dir.path("best.safetensors"), other.model, other.optimizer).at("number") == "old");
    CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 2);
  }
}

TEST_CASE("Unreadable checkpoints are kept under another name, and later ones of another run stay") {
  const test::TempDir dir;
  nn::CheckpointFolder checkpoints(dir.path(), 1);
  Run run;
  run.step(0);
  checkpoints.save(run.model, run.optimizer, {});
  std::ofstream(dir.path("step-00000002.safetensors")) << "half";
  CHECK(checkpoints.load_newest(run.model, run.optimizer));
  run.step(1);
  checkpoints.save(run.model, run.optimizer, {});
  CHECK(fs::exists(dir.path("unreadable-step-00000002.safetensors")));
  REQUIRE(checkpoints.list().size() == 1);
  CHECK(checkpoints.list().front().step == 2);

  std::ofstream(dir.path("step-00000009.safetensors")) << "another run's";
  run.step(2);
  checkpoints.save(run.model, run.optimizer, {});
  CHECK(fs::exists(dir.path("step-00000003.safetensors")));
  CHECK(fs::exists(dir.path("step-00000009.safetensors")));

  std::ofstream(dir.path("mine.txt")) << "a user's";
  checkpoints.clear();
  CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 1);
  CHECK(fs::exists(dir.path("mine.txt")));
}

TEST_CASE("Files of other names in the folder are neither removed nor read") {
  const test::TempDir dir;
  nn::CheckpointFolder checkpoints(dir.path(), 1);
  std::set<std::string> mine;
  for (const char* name : {"step-0", "step-5", "step-0000000001", "step-+0000001", "unreadable-mine",
                           "unreadable-step-5", "unreadable-2-step-5", "unreadable-2", "step-99999999999999999999"}) {
    mine.insert(std::string(name) + ".safetensors");
  }
  for (const std::string& name : mine) dir.write(name, std::string("mine"));
  std::ofstream(dir.path("step-00000009.safetensors")) << "half";
  Run run;
  CHECK_THROWS_WITH(checkpoints.load_newest(run.model, run.optimizer), Contains("none of the 1 in"));
  for (int i = 0; i < 2; ++i) {
    run.step(i);
    checkpoints.save(run.model, run.optimizer, {});
  }
  CHECK(checkpoints.list().size() == 1);
  auto expected = mine;
  expected.insert({"step-00000002.safetensors", "unreadable-step-00000009.safetensors"});
  CHECK(dir.names() == expected);
  checkpoints.clear();
  CHECK(dir.names() == mine);
}

TEST_CASE("A damaged checkpoint is passed over, and said") {
  const test::TempDir dir;
  nn::CheckpointFolder checkpoints(dir.path());
  Run run;
  run.step(0);
  checkpoints.save(run.model, run.optimizer, {{"number", "0"}});
  const auto expected = values_of(run);
  run.step(1);
  checkpoints.save(run.model, run.optimizer, {{"number", "1"}});
  fs::resize_file(checkpoints.list().front().path, 1000);
  for (const char* name : {"step-x.safetensors", "step-00000009 (copy).safetensors", "step-9.old.safetensors"}) {
    std::ofstream(dir.path(name)) << "not ours";
  }
  std::ofstream(dir.path("step-00000009.safetensors.simclr-tmp")) << "a killed save's";

  Run resumed(2);
  std::vector<std::string> warnings;
  const auto metadata = checkpoints.load_newest(resumed.model, resumed.optimizer,
                                                [&](const std::string& text) { warnings.push_back(text); });
  REQUIRE(metadata);
  CHECK(metadata->at("number") == "0");
  CHECK(values_of(resumed) == expected);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Contains("step-00000002.safetensors") && Contains("trying the one before"));

  {  // one bit of a weight
    std::fstream file(checkpoints.list().back().path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-100, std::ios::end);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(-100, std::ios::end);
    file.put(byte);
  }
  CHECK_THROWS_WITH(checkpoints.load_newest(resumed.model, resumed.optimizer),
                    Contains("none of the 2") && Contains("can be used. The newest: ") &&
                        Contains("step-00000002.safetensors: truncated"));
}

TEST_CASE("What is no checkpoint, or another model's, is refused") {
  const test::TempDir dir;
  Run run;
  save_tensors(dir.path("weights.safetensors"), run.model.state());
  CHECK_THROWS_WITH(nn::load_checkpoint(dir.path("weights.safetensors"), run.model, run.optimizer),
                    Contains("weights only"));
  nn::SimCLR narrow({.encoder = nn::resnet18({.width = 2}), .head = {.out = 8}});
  nn::Sgd optimizer(narrow.parameters(), {}, nn::constant(0.1));
  nn::save_checkpoint(dir.path("narrow.safetensors"), narrow, optimizer);
  const auto before = values_of(run);
  CHECK_THROWS_WITH(nn::load_checkpoint(dir.path("narrow.safetensors"), run.model, run.optimizer),
                    Contains("narrow.safetensors") && Contains("encoder.conv1.weight"));
  CHECK(values_of(run) == before);
  CHECK_THROWS_WITH(nn::load_checkpoint(dir.path("none.safetensors"), run.model, run.optimizer), Contains("none"));

  nn::save_checkpoint(dir.path("run.safetensors"), run.model, run.optimizer);
  const auto bytes = test::read_bytes(dir.path("run.safetensors"));
  std::string text(bytes.begin(), bytes.end());
  text.replace(text.find("digest"), 6, "Digest");  // as if there were none
  std::ofstream(dir.path("run.safetensors"), std::ios::binary) << text;
  CHECK_THROWS_WITH(nn::load_checkpoint(dir.path("run.safetensors"), run.model, run.optimizer),
                    Contains("it has no digest"));

  struct Odd : nn::Module {
    Odd() { add_buffer("optimizer.momentum", {1}, 0); }
    Tensor forward(const Input& input) override { return input.x; }
  };
  CHECK_THROWS_WITH(nn::save_checkpoint(dir.path("odd.safetensors"), Odd(), run.optimizer),
                    Contains("a tensor called optimizer.momentum; rename it"));
  CHECK_THROWS_WITH(nn::CheckpointFolder(dir.path(), 0), Contains("keep 0"));
}
