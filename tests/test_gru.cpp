#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/context.h>
#include <simclr/core/parallel.h>
#include <simclr/kernels/gru.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using namespace simclr::kernels;
using Catch::Matchers::Contains;
using test::message_of;
using test::random_lengths;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;

struct Layer {
  Tensor x, lengths;
  std::vector<GruWeights> directions;

  /// lengths 0: none are given.
  Layer(const Shape& shape, std::int64_t size, int count, std::uint64_t lengths_seed, DType dtype)
      : x(random_tensor(shape, 1, dtype)) {
    if (lengths_seed != 0) lengths = random_lengths(shape[0], lengths_seed, shape[1]);
    for (int i = 0; i < count; ++i) {
      const auto seed = static_cast<std::uint64_t>(10 * (i + 1));
      directions.push_back({random_tensor({3 * size, shape[2]}, seed, dtype),
                            random_tensor({3 * size, size}, seed + 1, dtype),
                            random_tensor({3 * size}, seed + 2, dtype), random_tensor({3 * size}, seed + 3, dtype)});
    }
  }

  GruResult forward() const { return gru_forward(x, lengths, directions); }
  std::int64_t length(std::int64_t i) const { return lengths.defined() ? lengths.data<std::int32_t>()[i] : x.dim(1); }
};

/// w [rows,columns] times v.
Values product(const Values& w, const double* v, std::size_t columns) {
  Values y(w.size() / columns, 0.0);
  for (std::size_t i = 0; i < w.size(); ++i) y[i / columns] += w[i] * v[i % columns];
  return y;
}

/// h behind one step, as PyTorch's documentation has it.
Values step(const GruWeights& w, const double* x, const Values& h) {
  const std::size_t size = h.size(), inputs = static_cast<std::size_t>(w.w_ih.dim(1));
  Values a = product(w.w_ih.to_vector<double>(), x, inputs), b = product(w.w_hh.to_vector<double>(), h.data(), size);
  const Values b_ih = w.b_ih.to_vector<double>(), b_hh = w.b_hh.to_vector<double>();
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b_ih[i], b[i] += b_hh[i];
  Values next(size);
  for (std::size_t k = 0; k < size; ++k) {
    const double r = 1 / (1 + std::exp(-(a[k] + b[k]))), z = 1 / (1 + std::exp(-(a[size + k] + b[size + k])));
    const double n = std::tanh(a[2 * size + k] + r * b[2 * size + k]);
    next[k] = (1 - z) * n + z * h[k];
  }
  return next;
}

/// y [N,T,D H] and last [N,D H], one sequence, direction and step after the other.
std::pair<Values, Values> reference(const Layer& layer) {
  const std::size_t steps = static_cast<std::size_t>(layer.x.dim(1)), inputs = static_cast<std::size_t>(layer.x.dim(2));
  const std::size_t size = static_cast<std::size_t>(layer.directions[0].w_hh.dim(1));
  const std::size_t columns = size * layer.directions.size();
  const Values x = layer.x.to_vector<double>();
  Values y(static_cast<std::size_t>(layer.x.dim(0)) * steps * columns, 0.0);
  Values last(static_cast<std::size_t>(layer.x.dim(0)) * columns, 0.0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(layer.x.dim(0)); ++i) {
    const auto length = static_cast<std::size_t>(layer.length(static_cast<std::int64_t>(i)));
    for (std::size_t d = 0; d < layer.directions.size(); ++d) {
      Values h(size, 0.0);
      for (std::size_t s = 0; s < length; ++s) {
        const std::size_t t = d == 0 ? s : length - 1 - s;
        h = step(layer.directions[d], x.data() + (i * steps + t) * inputs, h);
        std::copy(h.begin(), h.end(), y.data() + (i * steps + t) * columns + d * size);
      }
      std::copy(h.begin(), h.end(), last.data() + i * columns + d * size);
    }
  }
  return {y, last};
}

/// [N,T,I] and H, around the sizes at which the loops change their path.
const std::vector<std::pair<Shape, std::int64_t>> sizes = {
    {{1, 1, 1}, 1},   {{2, 3, 1}, 2},   {{3, 5, 7}, 3},    {{7, 4, 3}, 8},    {{5, 9, 16}, 15}, {{4, 6, 5}, 16},
    {{6, 3, 8}, 17},  {{9, 2, 33}, 31}, {{2, 11, 40}, 32}, {{13, 7, 4}, 33},  {{31, 2, 3}, 5},  {{33, 3, 2}, 12},
    {{70, 5, 6}, 24}, {{200, 3, 9}, 7}, {{3, 40, 2}, 4},   {{8, 4, 130}, 65}, {{2, 2, 3}, 129},
};

GruGradients gradients_of(const Layer& layer, const GruResult& forward, const Tensor& dy, const Tensor& dlast) {
  GruGradients out;
  out.dx = Tensor::full(layer.x.shape(), NAN, layer.x.dtype());
  for (const GruWeights& w : layer.directions) {
    const auto like = [](const Tensor& t) { return Tensor::full(t.shape(), NAN, t.dtype()); };
    out.directions.push_back({like(w.w_ih), like(w.w_hh), like(w.b_ih), like(w.b_hh)});
  }
  gru_backward(dy, dlast, forward.saved, out);
  return out;
}

std::vector<Tensor> tensors_of(const GruGradients& gradients) {
  std::vector<Tensor> all = {gradients.dx};
  for (const GruWeights& w : gradients.directions) all.insert(all.end(), {w.w_ih, w.w_hh, w.b_ih, w.b_hh});
  return all;
}

}  // namespace

TEST_CASE("a GRU agrees with loops in double, in one direction and two, with lengths and without") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const auto& [shape, size] : sizes) {
      for (const int count : {1, 2}) {
        for (const std::uint64_t lengths : {0, 5}) {
          CAPTURE(dtype, shape, size, count, lengths);
          const Layer layer(shape, size, count, lengths, dtype);
          const GruResult got = layer.forward();
          const auto [y, last] = reference(layer);
          const double limit = dtype == DType::f64 ? 1e-13 : 5e-6;
          CHECK(relative_error(got.y, Tensor::from(y, {shape[0], shape[1], count * size})) < limit);
          CHECK(relative_error(got.last, Tensor::from(last, {shape[0], count * size})) < limit);
        }
      }
    }
  }
}

TEST_CASE("large and small inputs of the gates keep their digits") {
  // One value, no recurrence: h = (1 - s(x)) tanh(x), with every gate's input x.
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const double x : {-1000.0, -90.0, -20.0, -1.0, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.3, 1.0, 9.0}) {
      CAPTURE(dtype, x);
      const auto of = [&](double value, const Shape& shape) { return Tensor::full(shape, value, dtype); };
      const GruResult got = gru_forward(of(x, {1, 1, 1}), {}, {{of(1, {3, 1}), of(0, {3, 1}), of(0, {3}), of(0, {3})}});
      const double exact = of(x, {1}).item();
      const double expected = std::tanh(exact) / (1 + std::exp(exact));
      // 1 - z has lost digits where z is nearly 1.
      const double limit = (dtype == DType::f64 ? 1e-14 : 5e-7) * (std::abs(expected) + (x > 2 ? 1 : 0));
      CHECK(std::abs(got.y.item() - expected) <= limit);
    }
    const Layer broken(Shape{1, 3, 2}, 3, 2, 0, dtype);
    Tensor x = broken.x;
    x.narrow(0, 1).fill(NAN);
    for (const double y : broken.forward().y.to_vector<double>()) CHECK(std::isnan(y));
  }
}

TEST_CASE("gradients of a GRU") {
  std::vector<std::pair<Shape, std::int64_t>> shapes;
  for (std::size_t i = 0; i < test::sequence_shapes.size(); ++i) {
    shapes.emplace_back(test::sequence_shapes[i], static_cast<std::int64_t>(1 + i * 5 % 9));
  }
  REQUIRE(shapes.size() >= 20);
  std::uint64_t seed = 3;
  for (const auto& [shape, size] : shapes) {
    for (const int count : {1, 2}) {
      const Layer layer(shape, size, count, ++seed % 3 == 0 ? 0 : seed, DType::f64);
      CAPTURE(shape, size, count, layer.lengths.defined());
      std::vector<Tensor> inputs = {layer.x};
      for (const GruWeights& w : layer.directions) inputs.insert(inputs.end(), {w.w_ih, w.w_hh, w.b_ih, w.b_hh});
      const auto run = [&, count = count](const std::vector<Tensor>& in) {
        std::vector<GruWeights> directions;
        for (int i = 0; i < count; ++i) {
          const auto at = static_cast<std::size_t>(4 * i + 1);
          directions.push_back({in[at], in[at + 1], in[at + 2], in[at + 3]});
        }
        return nn::gru(in[0], layer.lengths, directions);
      };
      const auto fresh = [&] {
        std::vector<Tensor> copies;
        for (const Tensor& input : inputs) copies.push_back(input.clone());
        return copies;
      };
      constexpr std::int64_t probes = 6;
      CHECK(test::gradient_error([&](const auto& in) { return run(in).y; }, fresh(), probes) < 1e-7);
      CHECK(test::gradient_error([&](const auto& in) { return run(in).last; }, fresh(), probes) < 1e-7);
      const Tensor weights = random_tensor({shape[0], shape[1], count * size}, 77);
      const auto both = [&](const auto& in) {
        const nn::GruOutput out = run(in);
        return nn::add(nn::sum(nn::multiply(out.y, weights)), nn::sum(nn::multiply(out.last, out.last)));
      };
      CHECK(test::gradient_error(both, fresh(), probes) < 1e-7);
    }
  }
}

TEST_CASE("a weight that is named twice in a call gets the sum of its gradients, over an accumulator of zeros, too") {
  const Layer layer({3, 5, 4}, 6, 2, 5, DType::f64);
  const auto parameters = [](const GruWeights& w) {
    const auto fresh = [](const Tensor& t) { return t.clone().set_requires_grad(true); };
    return GruWeights{fresh(w.w_ih), fresh(w.w_hh), fresh(w.b_ih), fresh(w.b_hh)};
  };
  const auto tensors = [](const GruWeights& w) { return std::vector<Tensor>{w.w_ih, w.w_hh, w.b_ih, w.b_hh}; };
  const auto train_twice = [&](const std::vector<GruWeights>& directions) {
    for (int pass = 0; pass < 2; ++pass) {
      for (const GruWeights& w : directions) {
        for (Tensor& t : tensors(w)) t.zero_grad();
      }
      const Tensor y = nn::gru(layer.x, layer.lengths, directions).y;
      nn::sum(nn::multiply(y, random_tensor(y.shape(), 77))).backward();
    }
  };
  // 1 both directions of the same weights
  const GruWeights tied = parameters(layer.directions[0]), a = parameters(tied), b = parameters(tied);
  train_twice({tied, tied});
  train_twice({a, b});
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    const Tensor expected = nn::add(tensors(a)[i].grad(), tensors(b)[i].grad());
    CHECK(relative_error(tensors(tied)[i].grad(), expected) < 1e-14);
  }
  // 2 one direction of a single bias
  GruWeights shared = parameters(tied), apart = parameters(tied);
  shared.b_hh = shared.b_ih;
  apart.b_hh = apart.b_ih.detach().clone().set_requires_grad(true);
  train_twice({shared});
  train_twice({apart});
  CHECK(relative_error(shared.b_ih.grad(), nn::add(apart.b_ih.grad(), apart.b_hh.grad())) < 1e-14);
  CHECK(relative_error(shared.w_hh.grad(), apart.w_hh.grad()) < 1e-14);
}

TEST_CASE("a GRU's gradients in f32 agree with f64's") {
  for (const auto& [shape, size] : sizes) {
    for (const std::uint64_t lengths : {0, 8}) {
      CAPTURE(shape, size, lengths);
      const Layer exact(shape, size, 2, lengths, DType::f64), layer(shape, size, 2, lengths, DType::f32);
      const Tensor dy = random_tensor({shape[0], shape[1], 2 * size}, 4),
                   dlast = random_tensor({shape[0], 2 * size}, 5);
      const auto expected = tensors_of(gradients_of(exact, exact.forward(), dy, dlast));
      const auto got = tensors_of(gradients_of(layer, layer.forward(), dy.to(DType::f32), dlast.to(DType::f32)));
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        CHECK(relative_error(got[i], expected[i]) < 2e-5);
      }
    }
  }
}

TEST_CASE("a sequence's outputs and gradients do not depend on its neighbours, nor on the padding") {
  const std::int64_t steps = 9, size = 20;
  const Layer layer({41, steps, 6}, size, 2, 6, DType::f64);
  const Tensor dy = random_tensor({41, steps, 2 * size}, 4), dlast = random_tensor({41, 2 * size}, 5);
  const GruResult all = layer.forward();
  const GruGradients gradients = gradients_of(layer, all, dy, dlast);
  for (const std::int64_t i : {0, 1, 2, 17, 40}) {
    CAPTURE(i);
    const std::int64_t length = layer.length(i);
    const auto behind = [&](const Tensor& t) {
      return t.narrow(i, 1).reshape({steps, t.dim(2)}).narrow(length, steps - length);
    };
    for (const Tensor& t : {all.y, gradients.dx}) {
      const auto values = behind(t).to_vector<double>();
      CHECK(values == Values(values.size(), 0.0));
    }
    if (length == 0) continue;
    Layer alone = layer;
    const auto own = [&](const Tensor& t) {
      return t.narrow(i, 1).reshape({steps, t.dim(2)}).narrow(0, length).reshape({1, length, t.dim(2)});
    };
    alone.x = own(layer.x).clone();
    alone.lengths = {};
    const GruResult one = alone.forward();
    CHECK(relative_error(one.y, own(all.y)) < 1e-14);
    CHECK(relative_error(one.last, all.last.narrow(i, 1)) < 1e-14);
    const GruGradients of_one = gradients_of(alone, one, own(dy).clone(), dlast.narrow(i, 1).clone());
    CHECK(relative_error(of_one.dx, own(gradients.dx)) < 1e-13);
  }
}

TEST_CASE("a GRU gives the same bits for any thread count") {
  const int before = threads();
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Layer layer({90, 7, 40}, 50, 2, 3, dtype);
    const Tensor dy = random_tensor({90, 7, 100}, 4, dtype);
    std::vector<std::vector<Tensor>> runs;
    for (const int count : {1, 2, 3, 7}) {
      set_threads(count);
      const GruResult got = layer.forward();
      runs.push_back(tensors_of(gradients_of(layer, got, dy, {})));
      runs.back().push_back(got.y);
      runs.back().push_back(got.last);
    }
    for (const auto& run : runs) CHECK(same_bits(run, runs[0]));
  }
  set_threads(before);
}

TEST_CASE("sequences without a step give 0 and no gradient") {
  Layer layer({3, 4, 2}, 5, 2, 1, DType::f32);
  layer.lengths.fill(0);
  const GruResult got = layer.forward();
  CHECK(got.y.to_vector<double>() == Values(120, 0.0));
  CHECK(got.last.to_vector<double>() == Values(30, 0.0));
  const Tensor dy = random_tensor({3, 4, 10}, 1, DType::f32), dlast = random_tensor({3, 10}, 2, DType::f32);
  for (const Tensor& gradient : tensors_of(gradients_of(layer, got, dy, dlast))) {
    CHECK(gradient.to_vector<double>() == Values(static_cast<std::size_t>(gradient.numel()), 0.0));
  }
}

TEST_CASE("a GRU of which no gradient is asked keeps no states and gates") {
  const Layer layer({16, 32, 8}, 64, 2, 0, DType::f32);
  const GruResult got = gru_forward(layer.x, {}, layer.directions, false), kept = layer.forward();
  CHECK(same_bits(std::vector<Tensor>{got.y, got.last}, std::vector<Tensor>{kept.y, kept.last}));
  CHECK((got.saved.states.empty() && got.saved.gates.empty()));
  CHECK_THAT(message_of([&] { gradients_of(layer, got, got.y, {}); }), Contains("give what gru_forward keeps"));

  Tensor x = layer.x.clone();
  x.set_requires_grad();
  Allocator& allocator = Context::of({}).allocator();
  const auto peak = [&] {
    const std::size_t before = allocator.stats().in_use;
    allocator.reset_peak();
    nn::gru(x, {}, layer.directions);
    return allocator.stats().peak - before;
  };
  const std::size_t recorded = peak();
  const NoGrad no_grad;
  CHECK(peak() + kept.saved.gates[0].bytes() / 2 < recorded);  // of one direction, the other's are needed
}

TEST_CASE("a GRU says what does not fit") {
  const Layer layer({2, 4, 3}, 5, 1, 0, DType::f32);
  const auto message = [&](auto change) {
    Layer wrong = layer;
    change(wrong);
    return message_of([&] { wrong.forward(); });
  };
  CHECK(message([](Layer&) {}) == "no error");
  CHECK_THAT(message([](Layer& l) { l.x = Tensor::zeros({8, 3}); }), Contains("[N,T,I] and not empty, got f32 [8,3]"));
  CHECK_THAT(message([](Layer& l) { l.x = Tensor::zeros({2, 0, 3}); }), Contains("not empty"));
  CHECK_THAT(message([](Layer& l) {
               l.x = Tensor::zeros({2, 4, 4});
             }),
             Contains("w_ih must be [15,4], got f32 [15,3]"));
  CHECK_THAT(message([](Layer& l) { l.directions[0].w_hh = Tensor::zeros({15, 6}); }), Contains("w_ih must be [18,3]"));
  CHECK_THAT(message([](Layer& l) { l.directions[0].b_hh = Tensor::zeros({5}); }), Contains("b_hh must be [15]"));
  CHECK_THAT(message([](Layer& l) { l.directions[0].b_ih = Tensor::zeros({15}, DType::f64); }),
             Contains("must be the same"));
  CHECK_THAT(message([](Layer& l) { l.directions.clear(); }), Contains("0 directions; there are one or two"));
  CHECK_THAT(message([](Layer& l) { l.lengths = Tensor::zeros({3}, DType::i32); }),
             Contains("lengths must be i32 [2]"));
  CHECK_THAT(message([](Layer& l) { l.lengths = Tensor::full({2}, 5, DType::i32); }),
             Contains("length 5 of sequence 0"));

  const GruResult got = layer.forward();
  const Tensor dy = Tensor::zeros({2, 4, 5});
  CHECK_THAT(message_of([&] {
               gradients_of(layer, got, Tensor::zeros({2, 4, 6}), {});
             }),
             Contains("dy must be [2,4,5]"));
  CHECK_THAT(message_of([&] { gradients_of(layer, got, dy, Tensor::zeros({2, 4})); }), Contains("dlast must be [2,5]"));
  GruGradients none;
  CHECK_THAT(message_of([&] { gru_backward(dy, {}, got.saved, none); }), Contains("gradients of 0 directions"));
  const auto saved_message = [&](auto change) {
    GruResult wrong = got;
    change(wrong.saved);
    return message_of([&] { gradients_of(layer, wrong, dy, {}); });
  };
  CHECK(saved_message([](GruSaved&) {}) == "no error");
  CHECK_THAT(saved_message([](GruSaved& s) { s.states.clear(); }),
             Contains("states of 0 directions and the gates of 1"));
  CHECK_THAT(saved_message([](GruSaved& s) { s.gates.push_back(s.gates[0]); }),
             Contains("the gates of 2, weights of 1"));
  CHECK_THAT(saved_message([](GruSaved& s) { s.states[0] = s.states[0].narrow(0, 7); }),
             Contains("states must be [8,5], got f32 [7,5]"));
  CHECK_THAT(saved_message([](GruSaved& s) { s.gates[0] = s.states[0]; }), Contains("gates must be [8,20]"));
  CHECK_THAT(saved_message([](GruSaved& s) { s.states[0] = s.states[0].to(DType::f64); }),
             Contains("must be the same"));
  CHECK_THAT(saved_message([](GruSaved& s) { s.gates[0] = Tensor(); }), Contains("must be the same"));
}
