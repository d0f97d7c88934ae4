#include "support/device.h"

#include <simclr/kernels/optimizer_step.h>

#include <functional>
#include <string>

using namespace simclr;
using namespace simclr::kernels;
using test::random_tensor;
using test::relative_error;

namespace {

const std::vector<float> rates = {0.5f, 0.25f, 0.125f};  // shorter than the runs: the last one stays

/// The same arenas on the device and, in f64, on the CPU.
struct Case {
  OptimizerArena arena;
  Tensor first, second;  // optimizer state
};

using Update = std::function<void(Case&)>;

Case make_case(const std::vector<std::int32_t>& segments, std::int64_t n, DType dtype, Device device) {
  Case c;
  const Shape shape{n};
  c.arena.values = random_tensor(shape, 1, dtype).to(device);
  c.arena.gradients = random_tensor(shape, 2, dtype).to(device);
  c.arena.segments = Tensor::from(segments, {static_cast<std::int64_t>(segments.size() / 3), 3}).to(device);
  c.arena.learning_rates = Tensor::from(rates, {3}).to(device);
  c.arena.step = Tensor::zeros({1}, DType::i32, device);
  c.arena.shadow = Tensor::full(shape, 7.0, DType::bf16, device);
  c.first = random_tensor(shape, 3, dtype, 0.0, 1.0).to(device);
  c.second = random_tensor(shape, 4, dtype, 0.0, 1.0).to(device);
  return c;
}

/// Segments of the given sizes and all pairs of flags in turn, `gap` unowned elements before each and at the end.
struct Layout {
  std::vector<std::int32_t> segments;
  std::int64_t n = 0;

  Layout(const std::vector<std::int32_t>& sizes, std::int32_t gap) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto begin = static_cast<std::int32_t>(n) + gap;
      segments.insert(segments.end(), {begin, begin + sizes[i], static_cast<std::int32_t>((i + 3) % 4)});
      n = begin + sizes[i];
    }
    n += gap;
  }
};

const std::vector<Layout> layouts = {
    {{1, 31, 32, 33, 127, 129, 1003}, 0},          // segments begin and end anywhere
    {{1, 1, 2, 3, 1, 0, 5, 600, 1, 1}, 1},         // several among four elements, an empty one
    {{16, 64, 512, 1024, 4096, 6000, 16, 48}, 0},  // the usual: multiples of 16, over several warps and blocks
    {{5}, 3},
    {std::vector<std::int32_t>(129, 3), 0},  // many
};

const std::vector<std::pair<const char*, Update>> updates = {
    {"sgd", [](Case& c) { sgd_step(c.arena, c.first, {.momentum = 0.9, .weight_decay = 0.02}); }},
    {"sgd, nesterov",
     [](Case& c) { sgd_step(c.arena, c.first, {.momentum = 0.8, .weight_decay = 0.02, .nesterov = true}); }},
    {"lars",
     [](Case& c) { lars_step(c.arena, c.first, {.momentum = 0.9, .weight_decay = 0.03, .trust_coefficient = 0.05}); }},
    {"lars, nesterov",
     [](Case& c) {
       lars_step(c.arena, c.first,
                 {.momentum = 0.8, .weight_decay = 0.03, .trust_coefficient = 0.05, .nesterov = true});
     }},
    {"lars, clipped",
     [](Case& c) { lars_step(c.arena, c.first, {.weight_decay = 0.03, .trust_coefficient = 0.5, .clip = true}); }},
    {"lars, bolts",
     [](Case& c) {
       lars_step(c.arena, c.first, {.weight_decay = 0.03, .trust_coefficient = 0.05, .rule = LarsRule::bolts});
     }},
    {"lars, bolts, nesterov, clipped",
     [](Case& c) {
       lars_step(
           c.arena, c.first,
           {.weight_decay = 0.03, .trust_coefficient = 0.2, .nesterov = true, .clip = true, .rule = LarsRule::bolts});
     }},
    {"adamw",
     [](Case& c) {
       adamw_step(c.arena, c.first, c.second, {.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.1});
     }},
};

Tensor to_cpu(const Tensor& x) {
  return x.to(Device{});
}

/// Five roundings of 2^-24 a step, and a step's errors grow with the next: the CPU's bound in f32 over 10 steps.
constexpr double limit = 2e-6;

}  // namespace

DEVICE_TEST_CASE("optimizers agree with double and leave what lies between segments") {
  for (const Layout& layout : layouts) {
    for (const auto& [name, update] : updates) {
      CAPTURE(name, layout.n);
      Case there = make_case(layout.segments, layout.n, DType::f32, test::device());
      Case exact = make_case(layout.segments, layout.n, DType::f64, Device{});
      const Tensor before = to_cpu(there.arena.values);
      for (int step = 0; step < 4; ++step) {
        const Tensor g = random_tensor({layout.n}, 100 + static_cast<std::uint64_t>(step), DType::f64);
        there.arena.gradients.copy_from(g.to(DType::f32).to(test::device()));
        exact.arena.gradients.copy_from(g);
        update(there);
        update(exact);
      }
      CHECK(relative_error(to_cpu(there.arena.values), exact.arena.values) < limit);
      CHECK(relative_error(to_cpu(there.first), exact.first) < limit);
      CHECK(relative_error(to_cpu(there.second), exact.second) < limit);
      CHECK(to_cpu(there.arena.step).item() == 4);

      std::vector<bool> owned(static_cast<std::size_t>(layout.n));
      for (std::size_t s = 0; s < layout.segments.size(); s += 3) {
        for (auto i = layout.segments[s]; i < layout.segments[s + 1]; ++i) owned[static_cast<std::size_t>(i)] = true;
      }
      const auto old = before.to_vector<float>(), now = to_cpu(there.arena.values).to_vector<float>(),
                 shadow = to_cpu(there.arena.shadow).to_vector<float>();
      bool untouched = true, shadowed = true;
      for (std::size_t i = 0; i < owned.size(); ++i) {
        if (!owned[i]) untouched = untouched && now[i] == old[i] && shadow[i] == 7.0f;
        if (owned[i]) shadowed = shadowed && shadow[i] == static_cast<float>(BFloat16(now[i]));
      }
      CHECK(untouched);
      CHECK(shadowed);
    }
  }
}

DEVICE_TEST_CASE("arenas that do not start at 16 bytes give the same values") {
  const Layout layout({5, 700, 64, 1003}, 2);
  for (const auto& [name, update] : updates) {
    CAPTURE(name);
    Case plain = make_case(layout.segments, layout.n, DType::f32, test::device());
    Case moved = plain;
    for (Tensor* tensor : {&moved.arena.values, &moved.first, &moved.second}) {
      const Tensor wider = Tensor::zeros({layout.n + 1}, DType::f32, test::device());
      Tensor part = wider.narrow(1, layout.n);
      part.copy_from(*tensor);
      *tensor = part;
    }
    moved.arena.shadow = {};
    moved.arena.step = plain.arena.step.clone();
    update(plain);
    update(moved);
    // The pieces of LARS's norms are other ones; everything else is the same arithmetic.
    CHECK(relative_error(to_cpu(moved.arena.values), to_cpu(plain.arena.values)) < 2e-7);
    CHECK(relative_error(to_cpu(moved.first), to_cpu(plain.first)) < 2e-7);
  }
}

DEVICE_TEST_CASE("lars adds up the norm of a segment that has more blocks than a block has threads") {
  const Layout layout({7, 137000}, 0);
  Case there = make_case(layout.segments, layout.n, DType::f32, test::device());
  const Case exact = make_case(layout.segments, layout.n, DType::f64, Device{});
  const Tensor wider = Tensor::zeros({layout.n + 1}, DType::f32, test::device());
  Tensor part = wider.narrow(1, layout.n);  // not at 16 bytes, so 512 elements a block
  part.copy_from(there.arena.values);
  there.arena.values = part;
  there.arena.segments.copy_from(
      Tensor::from(std::vector<std::int32_t>{0, 7, 0, 7, 137007, segment_adapt}, {2, 3}).to(test::device()));
  there.first.fill(0.0);
  lars_step(there.arena, there.first, {.momentum = 0.0, .weight_decay = 0.0, .trust_coefficient = 1.0});
  // v = rate g, so |v| = lr |w|.
  const auto norm = [](const Tensor& x) {
    double sum = 0;
    for (const double value : x.narrow(7, 137000).to_vector<double>()) sum += value * value;
    return std::sqrt(sum);
  };
  CHECK(norm(to_cpu(there.first)) == Approx(0.5 * norm(exact.arena.values)).epsilon(1e-6));
}

DEVICE_TEST_CASE("bolts' lars leaves weight decay out where a norm is zero") {
  const Layout layout({40, 50, 60, 70}, 1);
  Case there = make_case(layout.segments, layout.n, DType::f32, test::device());
  Case exact = make_case(layout.segments, layout.n, DType::f64, Device{});
  for (Case* c : {&there, &exact}) {
    c->arena.gradients.fill(0.0);
    c->first.fill(0.0);
    lars_step(c->arena, c->first, {.momentum = 0.0, .weight_decay = 0.1, .rule = LarsRule::bolts});
  }
  CHECK(relative_error(to_cpu(there.arena.values), exact.arena.values) < limit);
}

DEVICE_TEST_CASE("lars takes ratio 1 where a norm is zero, and keeps a NaN in its own segment") {
  const Layout layout({33, 40, 33, 600}, 0);  // the first and the last adapt
  Case c = make_case(layout.segments, layout.n, DType::f32, test::device());
  c.arena.values.fill(0.0);
  c.first.fill(0.0);
  lars_step(c.arena, c.first, {.momentum = 0.0, .weight_decay = 0.1});
  const auto w = to_cpu(c.arena.values).to_vector<float>(), g = to_cpu(c.arena.gradients).to_vector<float>();
  for (std::size_t i = 0; i < w.size(); ++i) REQUIRE(w[i] == -0.5f * g[i]);

  Case poisoned = make_case(layout.segments, layout.n, DType::f32, test::device());
  poisoned.arena.gradients.narrow(layout.n - 9, 1).fill(NAN);
  poisoned.arena.segments.narrow(3, 1).copy_from(
      Tensor::from(std::vector<std::int32_t>{106, 706, segment_adapt}, {1, 3}).to(test::device()));
  lars_step(poisoned.arena, poisoned.first, {});
  const auto after = to_cpu(poisoned.arena.values).to_vector<float>();
  for (std::size_t i = 0; i < after.size(); ++i) REQUIRE(std::isnan(after[i]) == (i >= 106));
}

DEVICE_TEST_CASE("the step count in memory chooses the learning rate") {
  for (const auto& [step, rate] : std::vector<std::pair<int, float>>{{0, 0.5f}, {2, 0.125f}, {1000, 0.125f}}) {
    for (int rule = 0; rule < 3; ++rule) {
      Case c = make_case({0, 8, 0}, 8, DType::f32, test::device());
      c.arena.values.fill(0.0);
      c.arena.gradients.fill(-1.0);
      c.first.fill(0.0);
      c.second.fill(0.0);
      c.arena.step.fill(step);
      if (rule == 0) sgd_step(c.arena, c.first, {});
      if (rule == 1) lars_step(c.arena, c.first, {});
      if (rule == 2) adamw_step(c.arena, c.first, c.second, {.beta1 = 0, .beta2 = 0, .eps = 0});  // moves by lr
      CHECK(to_cpu(c.arena.values).to_vector<float>() == std::vector<float>(8, rate));
      CHECK(to_cpu(c.arena.step).item() == step + 1);
    }
  }
}

DEVICE_TEST_CASE("a step without parameters still counts") {
  for (const std::int64_t n : {0, 5}) {
    Case c = make_case({}, n, DType::f32, test::device());
    const Tensor before = to_cpu(c.arena.values);
    sgd_step(c.arena, c.first, {});
    lars_step(c.arena, c.first, {});
    adamw_step(c.arena, c.first, c.second, {});
    CHECK(to_cpu(c.arena.step).item() == 3);
    CHECK(test::same_bits(to_cpu(c.arena.values), before));
  }
}

DEVICE_TEST_CASE("segments of any content stay inside the arenas") {
  constexpr std::int32_t low = INT32_MIN, high = INT32_MAX;
  const std::vector<std::vector<std::int32_t>> wrong = {{low, high, 3},
                                                        {-5, 7, 3, 6, 2000, 3},
                                                        {900, 100, 3, 100, 900, 3},
                                                        {high, low, 3, 0, low, 3, high, high, 3},
                                                        {500, 1500, 3, 0, 600, 3}};
  for (const auto& segments : wrong) {
    for (const auto& [name, update] : updates) {
      CAPTURE(name, segments);
      Case c = make_case(segments, 1000, DType::f32, test::device());
      c.arena.step.fill(-3);
      update(c);  // the device's guards and checks are what this is about
      CHECK(to_cpu(c.arena.step).item() == -2);
    }
  }
}

DEVICE_TEST_CASE("a value that is not finite is noted wherever it stands, and updates then change nothing") {
  const Tensor step = Tensor::full({1}, 7, DType::i32, test::device());
  Tensor noted = Tensor::full({1}, -1, DType::i32, test::device());
  const Tensor memory = random_tensor({9002}, 1, DType::f32, -1e30, 1e30).to(test::device());
  for (const std::int64_t offset : {0, 1}) {  // at 16 bytes, or not
    const Tensor x = memory.narrow(offset, 9001);
    note_nonfinite(x, step, noted);
    CHECK(noted.item() == -1);
    for (const std::int64_t at : {0, 1, 1023, 4097, 9000}) {
      for (const double value : {double(NAN), double(INFINITY), -double(INFINITY)}) {
        const Tensor before = x.narrow(at, 1).clone();
        x.narrow(at, 1).fill(value);
        note_nonfinite(x, step, noted);
        CHECK(noted.item() == 7);
        noted.fill(-1);
        x.narrow(at, 1).copy_from(before);
      }
    }
  }
  const Layout layout({5, 700, 64, 1003}, 2);
  for (const auto& [name, update] : updates) {
    CAPTURE(name);
    Case c = make_case(layout.segments, layout.n, DType::f32, test::device());
    c.arena.bad_step = Tensor::full({1}, -1, DType::i32, test::device());
    update(c);
    CHECK(c.arena.step.item() == 1);
    const auto kept = [&] {
      std::vector<Tensor> copies;
      for (const Tensor& t : {c.arena.values, c.arena.shadow, c.first, c.second, c.arena.step}) {
        copies.push_back(to_cpu(t).clone());
      }
      return copies;
    };
    const auto before = kept();
    note_nonfinite(Tensor::full({1}, NAN, DType::f32, test::device()), c.arena.step, c.arena.bad_step);
    update(c);
    const auto after = kept();
    for (std::size_t i = 0; i < before.size(); ++i) CHECK(test::same_bits(after[i], before[i]));
    CHECK(c.arena.bad_step.item() == 1);
    c.arena.bad_step.fill(-1);
    update(c);
    CHECK(c.arena.step.item() == 2);
  }
}

#ifdef SIMCLR_EMU_CHECKS
DEVICE_TEST_CASE("a step is one launch, for LARS two, whatever the parameters") {
  if (test::device().type != DeviceType::emu) return;
  const Layout layout({1, 31, 64, 5000, 16, 48, 3000}, 0);
  for (const auto& [name, update] : updates) {
    CAPTURE(name);
    Case c = make_case(layout.segments, layout.n, DType::f32, test::device());
    update(c);  // makes the counters
    const std::uint64_t before = emu::launches;
    update(c);
    CHECK(emu::launches - before == (std::string(name).starts_with("lars") ? 2 : 1));
  }
}
#endif

DEVICE_TEST_CASE("optimizer steps on a device refuse what does not fit") {
  const auto refuses = [](const std::string& message, const Update& spoil) {
    Case c = make_case({0, 8, 0}, 8, DType::f32, test::device());
    spoil(c);
    CHECK_THROWS_WITH(sgd_step(c.arena, c.first, {}), Catch::Contains(message));
  };
  const Device device = test::device();
  refuses("wants f32, got bf16", [&](Case& c) {
    c.arena.values = Tensor::zeros({8}, DType::bf16, device);
    c.arena.gradients = Tensor::zeros({8}, DType::bf16, device);
  });
  refuses("wants f32 or bf16", [&](Case& c) { c.arena.values = Tensor::zeros({8}, DType::f64, device); });
  refuses("segments must be i32 [P,3] on", [&](Case& c) { c.arena.segments = to_cpu(c.arena.segments); });
  refuses("step must be i32 [1] on", [&](Case& c) { c.arena.step = to_cpu(c.arena.step); });
  refuses("shadow must be bf16", [&](Case& c) { c.arena.shadow = Tensor::zeros({8}, DType::f32, device); });
  refuses("shadow must be bf16", [&](Case& c) { c.arena.shadow = Tensor::zeros({9}, DType::bf16, device); });
  refuses("shadow must be bf16", [&](Case& c) { c.arena.shadow = to_cpu(c.arena.shadow); });
}
