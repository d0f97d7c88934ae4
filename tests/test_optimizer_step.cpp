// Each optimizer against loops in double, written from its equation.
#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/optimizer_step.h>

#include <functional>

using namespace simclr;
using namespace simclr::kernels;
using test::random_tensor;
using test::relative_error;

namespace {

const std::vector<float> rates = {0.5f, 0.25f, 0.125f, 0.1f};  // shorter than the runs: the last one stays

struct Case {
  OptimizerArena arena;
  Tensor first, second;  // optimizer state
};

/// Four segments of n elements with 5 unowned elements before each: all pairs of flags.
Case make_case(std::int64_t n, DType dtype) {
  std::vector<std::int32_t> segments;
  for (std::int32_t flags = 0; flags < 4; ++flags) {
    const auto begin = static_cast<std::int32_t>(flags * (n + 5) + 5);
    segments.insert(segments.end(), {begin, static_cast<std::int32_t>(begin + n), flags});
  }
  const Shape shape{4 * (n + 5)};
  Case c;
  c.arena.values = random_tensor(shape, 1, dtype);
  c.arena.gradients = random_tensor(shape, 2, dtype);
  c.arena.segments = Tensor::from(segments, {4, 3});
  c.arena.learning_rates = Tensor::from(rates, {4});
  c.arena.step = Tensor::zeros({1}, DType::i32);
  c.first = Tensor::zeros(shape, dtype);
  c.second = Tensor::zeros(shape, dtype);
  return c;
}

Tensor gradients_of_step(const Shape& shape, int step, DType dtype) {
  return random_tensor(shape, 100 + static_cast<std::uint64_t>(step), dtype);
}

using Vector = std::vector<double>;

/// What a reference sees: one segment, its flags, the learning rate, and t = 1, 2, ...
struct Span {
  double *w, *first, *second;
  const double* g;
  std::int64_t n;
  bool decay, adapt;
  double lr;
  int t;
};

void run(std::int64_t n, DType dtype, double tolerance, const std::function<void(Case&)>& update,
         const std::function<void(const Span&)>& reference) {
  Case c = make_case(n, dtype);
  auto w = c.arena.values.to_vector<double>();
  auto first = c.first.to_vector<double>(), second = first;
  for (int step = 0; step < 10; ++step) {
    c.arena.gradients.copy_from(gradients_of_step(c.arena.values.shape(), step, dtype));
    const auto g = c.arena.gradients.to_vector<double>();
    update(c);
    for (int flags = 0; flags < 4; ++flags) {
      const std::int64_t at = flags * (n + 5) + 5;
      reference({w.data() + at, first.data() + at, second.data() + at, g.data() + at, n, (flags & 1) != 0,
                 (flags & 2) != 0, double{rates[static_cast<std::size_t>(std::min(step, 3))]}, step + 1});
    }
  }
  CAPTURE(n, dtype);
  CHECK(relative_error(c.arena.values, Tensor::from(w, c.arena.values.shape())) < tolerance);
  CHECK(relative_error(c.first, Tensor::from(first, c.first.shape())) < tolerance);
  CHECK(relative_error(c.second, Tensor::from(second, c.second.shape())) < tolerance);
  CHECK(c.arena.step.item() == 10);
}

/// f64 to rounding. In f32 each of 10 steps rounds about five times (6e-8 of values near the scale); the sums grow
/// together, so a few parts in 10^6 are the honest bound.
void run_all(const std::function<void(Case&)>& update, const std::function<void(const Span&)>& reference) {
  for (const std::int64_t n : test::edge_sizes) {
    run(n, DType::f64, 1e-12, update, reference);
    run(n, DType::f32, 2e-6, update, reference);
  }
  run(20000, DType::f64, 1e-12, update, reference);  // several blocks a segment
}

}  // namespace

TEST_CASE("sgd is PyTorch's rule") {
  for (const auto& [momentum, nesterov] : {std::pair{0.9, false}, {0.9, true}, {0.0, false}}) {
    run_all(
        [&](Case& c) {
          sgd_step(c.arena, c.first, {momentum, 0.02, nesterov});
        },
        [&](const Span& s) {
          for (std::int64_t i = 0; i < s.n; ++i) {
            const double g = s.g[i] + (s.decay ? 0.02 * s.w[i] : 0.0);
            s.first[i] = momentum * s.first[i] + g;
            s.w[i] -= s.lr * (nesterov ? g + momentum * s.first[i] : s.first[i]);
          }
        });
  }
}

TEST_CASE("lars is its equation") {
  for (const bool nesterov : {false, true}) {
    run_all(
        [&](Case& c) {
          lars_step(c.arena, c.first, {0.9, 0.03, 0.05, nesterov});
        },
        [&](const Span& s) {
          double ww = 0, gg = 0;
          Vector g(static_cast<std::size_t>(s.n));
          for (std::int64_t i = 0; i < s.n; ++i) {
            g[i] = s.g[i] + (s.decay ? 0.03 * s.w[i] : 0.0);
            ww += s.w[i] * s.w[i];
            gg += g[i] * g[i];
          }
          const double ratio = s.adapt && ww > 0 && gg > 0 ? 0.05 * std::sqrt(ww) / std::sqrt(gg) : 1.0;
          for (std::int64_t i = 0; i < s.n; ++i) {
            s.first[i] = 0.9 * s.first[i] + s.lr * ratio * g[i];
            s.w[i] -= nesterov ? 0.9 * s.first[i] + s.lr * ratio * g[i] : s.first[i];
          }
        });
  }
}

/// The layers of `make_case` have |w| near |g|, so that a trust coefficient of 0.05 is below the learning rates and one
/// of 2 is above: clipped.
TEST_CASE("lars clips as it says, and bolts keeps the learning rate out of its momentum") {
  for (const LarsRule rule : {LarsRule::simclr, LarsRule::bolts}) {
    for (const bool clip : {false, true}) {
      for (const double trust : {0.05, 2.0}) {
        for (const bool nesterov : {false, true}) {
          if (!clip && trust > 1) continue;  // which grows without bound
          CAPTURE(static_cast<int>(rule), clip, trust, nesterov);
          run_all(
              [&](Case& c) {
                lars_step(c.arena, c.first,
                          {.momentum = 0.9,
                           .weight_decay = 0.03,
                           .trust_coefficient = trust,
                           .nesterov = nesterov,
                           .clip = clip,
                           .rule = rule});
              },
              [&](const Span& s) {
                const double decay = s.decay ? 0.03 : 0.0;
                const bool bolts = rule == LarsRule::bolts;
                double ww = 0, gg = 0, dd = 0;
                for (std::int64_t i = 0; i < s.n; ++i) {
                  const double d = s.g[i] + decay * s.w[i];
                  ww += s.w[i] * s.w[i];
                  gg += s.g[i] * s.g[i];
                  dd += d * d;
                }
                const double w = std::sqrt(ww);
                const double local = bolts ? trust * w / (std::sqrt(gg) + decay * w + 1e-8) : trust * w / std::sqrt(dd);
                // The layer's whole rate, and how much of it momentum is told.
                double rate = s.lr;
                if (s.adapt && ww > 0) rate = clip ? std::min(local, s.lr) : s.lr * local;
                const double inner = bolts ? rate / s.lr : rate, outer = bolts ? s.lr : 1.0;
                for (std::int64_t i = 0; i < s.n; ++i) {
                  const double d = inner * (s.g[i] + decay * s.w[i]);
                  s.first[i] = 0.9 * s.first[i] + d;
                  s.w[i] -= outer * (nesterov ? d + 0.9 * s.first[i] : s.first[i]);
                }
              });
        }
      }
    }
  }
}

TEST_CASE("bolts' lars leaves weight decay out where a norm is zero") {
  Case c = make_case(33, DType::f64);
  c.arena.gradients.fill(0.0);
  const auto before = c.arena.values.to_vector<double>();
  lars_step(c.arena, c.first, {.momentum = 0.0, .weight_decay = 0.1, .rule = LarsRule::bolts});
  const auto w = c.arena.values.to_vector<double>();
  for (std::size_t flags = 0; flags < 4; ++flags) {
    const double keep = flags == 1 ? 1 - 0.5 * 0.1 : 1;  // a segment that decays and does not adapt
    for (std::size_t i = flags * 38 + 5; i < flags * 38 + 38; ++i)
      CHECK(w[i] == Approx(keep * before[i]).epsilon(1e-14));
  }
}

TEST_CASE("adamw is PyTorch's rule") {
  const AdamwOptions options = {.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.1};
  run_all([&](Case& c) { adamw_step(c.arena, c.first, c.second, options); },
          [&](const Span& s) {
            for (std::int64_t i = 0; i < s.n; ++i) {
              if (s.decay) s.w[i] -= s.lr * 0.1 * s.w[i];
              s.first[i] = 0.8 * s.first[i] + (1 - 0.8) * s.g[i];
              s.second[i] = 0.95 * s.second[i] + (1 - 0.95) * s.g[i] * s.g[i];
              const double mhat = s.first[i] / (1 - std::pow(0.8, s.t));
              const double vhat = s.second[i] / (1 - std::pow(0.95, s.t));
              s.w[i] -= s.lr * mhat / (std::sqrt(vhat) + 1e-6);
            }
          });
}

TEST_CASE("lars takes ratio 1 where a norm is zero, so that zero-initialised parameters move") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Case c = make_case(33, dtype);
    c.arena.values.fill(0.0);  // |w| = 0: a plain step
    const Tensor g = c.arena.gradients;
    lars_step(c.arena, c.first, {.momentum = 0.0, .weight_decay = 0.1});
    const auto w = c.arena.values.to_vector<double>();
    const auto gradients = g.to_vector<double>();
    for (std::size_t flags = 0; flags < 4; ++flags) {
      for (std::size_t i = flags * 38 + 5; i < flags * 38 + 38; ++i) CHECK(w[i] == -0.5 * gradients[i]);
    }

    Case still = make_case(33, dtype);  // |g| = 0: nothing to divide by, nothing moves
    still.arena.gradients.fill(0.0);
    const Tensor before = still.arena.values.clone();
    lars_step(still.arena, still.first, {.weight_decay = 0.0});
    CHECK(test::same_bits(still.arena.values, before));
  }
}

TEST_CASE("lars keeps a gradient that is not finite visible, in its own segment only") {
  Case c = make_case(31, DType::f32);
  c.arena.gradients.data<float>()[3 * 36 + 10] = NAN;
  lars_step(c.arena, c.first, {});
  const auto w = c.arena.values.to_vector<float>();
  for (std::size_t i = 3 * 36 + 5; i < 3 * 36 + 36; ++i) CHECK(std::isnan(w[i]));  // its norm is NaN too
  for (std::size_t i = 0; i < 3 * 36; ++i) CHECK(std::isfinite(w[i]));
}

TEST_CASE("what lies between segments stays untouched") {
  const auto updates =
      std::vector<std::function<void(Case&)>>{[](Case& c) { sgd_step(c.arena, c.first, {.weight_decay = 0.1}); },
                                              [](Case& c) { lars_step(c.arena, c.first, {.weight_decay = 0.1}); },
                                              [](Case& c) { adamw_step(c.arena, c.first, c.second, {}); }};
  for (const auto& update : updates) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      Case c = make_case(129, dtype);
      c.first.fill(7.0);
      c.second.fill(8.0);
      const auto before = c.arena.values.to_vector<double>();
      const Tensor gradients = c.arena.gradients.clone();
      update(c);
      const auto after = c.arena.values.to_vector<double>();
      const auto first = c.first.to_vector<double>(), second = c.second.to_vector<double>();
      for (std::size_t i = 0; i < before.size(); ++i) {
        const bool gap = i % 134 < 5;
        CHECK((after[i] == before[i]) == gap);
        if (gap) CHECK((first[i] == 7.0 && second[i] == 8.0));
      }
      CHECK(test::same_bits(c.arena.gradients, gradients));
    }
  }
}

TEST_CASE("a shadow gets the new values in bf16, and nothing between segments") {
  const auto updates =
      std::vector<std::function<void(Case&)>>{[](Case& c) { sgd_step(c.arena, c.first, {.weight_decay = 0.1}); },
                                              [](Case& c) { lars_step(c.arena, c.first, {.weight_decay = 0.1}); },
                                              [](Case& c) { adamw_step(c.arena, c.first, c.second, {}); }};
  for (const auto& update : updates) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      Case c = make_case(129, dtype), plain = make_case(129, dtype);
      c.arena.shadow = Tensor::full(c.arena.values.shape(), 7.0, DType::bf16);
      update(c);
      update(plain);
      CHECK(test::same_bits(c.arena.values, plain.arena.values));
      const auto rounded = c.arena.values.to(DType::bf16).to_vector<float>();
      const auto shadow = c.arena.shadow.to_vector<float>();
      for (std::size_t i = 0; i < shadow.size(); ++i) CHECK(shadow[i] == (i % 134 < 5 ? 7.0f : rounded[i]));
    }
  }
}

TEST_CASE("every thread count gives the same bits") {
  const int before = threads();
  for (const DType dtype : {DType::f32, DType::f64}) {
    std::vector<Tensor> sgd, lars, adamw;
    for (const int count : {1, 2, 3, 5}) {
      set_threads(count);
      Case a = make_case(50001, dtype), b = make_case(50001, dtype), c = make_case(50001, dtype);
      for (int step = 0; step < 3; ++step) {
        sgd_step(a.arena, a.first, {.weight_decay = 0.1, .nesterov = true});
        lars_step(b.arena, b.first, {.weight_decay = 0.1});
        adamw_step(c.arena, c.first, c.second, {});
      }
      sgd.push_back(a.arena.values);
      lars.push_back(b.arena.values);
      adamw.push_back(c.arena.values);
    }
    for (std::size_t i = 1; i < sgd.size(); ++i) {
      CHECK(test::same_bits(sgd[i], sgd[0]));
      CHECK(test::same_bits(lars[i], lars[0]));
      CHECK(test::same_bits(adamw[i], adamw[0]));
    }
  }
  set_threads(before);
}

TEST_CASE("the step count in memory chooses the learning rate") {
  for (const auto& [step, rate] : std::vector<std::pair<int, double>>{{0, 0.5}, {2, 0.125}, {3, 0.1f}, {1000, 0.1f}}) {
    Case c = make_case(1, DType::f64);
    c.arena.values.fill(0.0);
    c.arena.gradients.fill(-1.0);
    c.arena.step.fill(step);
    sgd_step(c.arena, c.first, {});
    CHECK(c.arena.values.to_vector<double>()[5] == rate);
    CHECK(c.arena.step.item() == step + 1);
  }
}

TEST_CASE("a value that is not finite is noted wherever it stands, and updates then change nothing") {
  const auto updates =
      std::vector<std::function<void(Case&)>>{[](Case& c) { sgd_step(c.arena, c.first, {.weight_decay = 0.1}); },
                                              [](Case& c) { lars_step(c.arena, c.first, {.weight_decay = 0.1}); },
                                              [](Case& c) { adamw_step(c.arena, c.first, c.second, {}); }};
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor step = Tensor::full({1}, 7, DType::i32), noted = Tensor::full({1}, -1, DType::i32);
    Tensor x = random_tensor({70001}, 1, dtype, -1e30, 1e30);
    note_nonfinite(x, step, noted);
    CHECK(noted.item() == -1);
    for (const std::int64_t at : {0, 1, 4095, 40000, 70000}) {
      for (const double value : {double(NAN), double(INFINITY), -double(INFINITY)}) {
        const Tensor before = x.narrow(at, 1).clone();
        x.narrow(at, 1).fill(value);
        note_nonfinite(x, step, noted);
        CHECK(noted.item() == 7);
        noted.detach().fill(-1);
        x.narrow(at, 1).copy_from(before);
      }
    }
    for (const auto& update : updates) {
      Case c = make_case(129, dtype);
      c.arena.shadow = Tensor::full(c.arena.values.shape(), 7.0, DType::bf16);
      c.arena.bad_step = Tensor::full({1}, -1, DType::i32);
      update(c);
      CHECK(c.arena.step.item() == 1);
      const auto kept = [&] {
        return std::vector<Tensor>{c.arena.values, c.arena.shadow, c.first, c.second, c.arena.step};
      };
      std::vector<Tensor> before;
      for (const Tensor& tensor : kept()) before.push_back(tensor.clone());
      note_nonfinite(Tensor::full({1}, NAN, dtype), c.arena.step, c.arena.bad_step);
      update(c);
      for (std::size_t i = 0; i < before.size(); ++i) CHECK(test::same_bits(kept()[i], before[i]));
      CHECK(c.arena.bad_step.item() == 1);
    }
  }
  CHECK_THROWS_WITH(note_nonfinite(Tensor::zeros({2}), Tensor::zeros({2}, DType::i32), Tensor::zeros({1}, DType::i32)),
                    Catch::Contains("a step must be [1]"));
  CHECK_THROWS_WITH(note_nonfinite(Tensor::zeros({2}), Tensor::zeros({1}, DType::i32), Tensor::zeros({1})),
                    Catch::Contains("a step must be i32"));
}

TEST_CASE("optimizer steps refuse what does not fit") {
  const auto refuses = [](const std::string& message, const std::function<void(Case&)>& spoil) {
    Case c = make_case(31, DType::f32);
    spoil(c);
    CHECK_THROWS_WITH(adamw_step(c.arena, c.first, c.second, {}), Catch::Contains(message));
  };
  refuses("wants f32 or f64", [](Case& c) { c.arena.values = Tensor::zeros({144}, DType::bf16); });
  refuses("values must have 1 dimensions", [](Case& c) { c.arena.values = c.arena.values.reshape({12, 12}); });
  refuses("gradients must be [144]", [](Case& c) { c.arena.gradients = Tensor::zeros({143}); });
  refuses("dtypes and devices must be the same", [](Case& c) { c.first = Tensor::zeros({144}, DType::f64); });
  refuses("v must be [144]", [](Case& c) { c.second = Tensor::zeros({1}); });
  refuses("m must be [144]", [](Case& c) { c.first = {}; });
  refuses("segments must be i32 [P,3]", [](Case& c) { c.arena.segments = Tensor::zeros({12}, DType::i32); });
  refuses("learning_rates must be f32 [T]", [](Case& c) { c.arena.learning_rates = Tensor::zeros({0}); });
  refuses("step must be i32 [1]", [](Case& c) { c.arena.step = {}; });
  refuses("bad_step must be i32 [1]", [](Case& c) { c.arena.bad_step = Tensor::zeros({2}, DType::i32); });
  refuses("shadow must be bf16", [](Case& c) { c.arena.shadow = Tensor::zeros({144}); });
  refuses("shadow must be bf16", [](Case& c) { c.arena.shadow = Tensor::zeros({143}, DType::bf16); });
  refuses("cannot be negative", [](Case& c) { c.arena.step.fill(-1); });
  refuses("must ascend without overlap", [](Case& c) { c.arena.segments.data<std::int32_t>()[10] = 145; });
  refuses("must ascend without overlap", [](Case& c) { c.arena.segments.data<std::int32_t>()[3] = 35; });

  Case c = make_case(1, DType::f32);
  CHECK_THROWS_WITH(sgd_step(c.arena, c.first, {.momentum = -1}), Catch::Contains("momentum is -1"));
  CHECK_THROWS_WITH(sgd_step(c.arena, c.first, {.weight_decay = NAN}), Catch::Contains("weight_decay is nan"));
  CHECK_THROWS_WITH(sgd_step(c.arena, c.first, {.momentum = 0, .nesterov = true}), Catch::Contains("nesterov needs"));
  CHECK_THROWS_WITH(lars_step(c.arena, c.first, {.trust_coefficient = -1}), Catch::Contains("trust_coefficient is -1"));
  CHECK_THROWS_WITH(lars_step(c.arena, c.first, {.rule = static_cast<LarsRule>(7)}), Catch::Contains("rule is 7"));
  CHECK_THROWS_WITH(adamw_step(c.arena, c.first, c.second, {.beta1 = 1}), Catch::Contains("a beta is 1"));
  CHECK_THROWS_WITH(adamw_step(c.arena, c.first, c.second, {.eps = -1}), Catch::Contains("eps is -1"));
  CHECK(c.arena.step.item() == 0);
}
