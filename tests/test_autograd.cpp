#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/autograd.h>
#include <simclr/core/parameter_memory.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace simclr;

namespace {

/// y = factor x, recorded.
Tensor times(const Tensor& x, double factor) {
  auto values = x.to_vector<double>();
  for (double& v : values) v *= factor;
  return record("times", {x}, Tensor::from(values, x.shape()), [factor](Backward& b) {
    auto dx = b.dy().to_vector<double>();
    for (double& v : dx) v *= factor;
    b.set(0, Tensor::from(dx, b.dy().shape()));
  });
}

/// a + b, recorded; hands the same gradient to both.
Tensor plus(const Tensor& a, const Tensor& b) {
  auto values = a.to_vector<double>();
  const auto other = b.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += other[i];
  return record("plus", {a, b}, Tensor::from(values, a.shape()), [](Backward& bw) {
    bw.set(0, bw.dy());
    bw.set(1, bw.dy());
  });
}

Tensor leaf(double value) {
  Tensor x = Tensor::from(std::vector<double>{value}, {1});
  x.set_requires_grad();
  return x;
}

}  // namespace

TEST_CASE("gradients of all paths add up and shared gradients stay intact") {
  Tensor x = leaf(2.0), z = leaf(5.0);
  // y = (3x + x) + (3x + z): the gradient 1 is shared by several branches
  const Tensor triple = times(x, 3.0);
  const Tensor y = plus(plus(triple, x), plus(triple, z));
  y.backward();
  CHECK(y.item() == 19.0);
  CHECK(x.grad().item() == 7.0);
  CHECK(z.grad().item() == 1.0);
}

TEST_CASE("a gradient's memory is written over only where nobody else holds it") {
  std::vector<bool> reused;
  const auto probe = [&reused](const Tensor& x) {
    return record("probe", {x}, x.clone(), [&reused](Backward& b) {
      const Tensor dy = b.dy().clone();
      Tensor over = b.over_dy();
      reused.push_back(over.raw_data() == b.dy().raw_data());
      over.copy_from(dy);
      b.set(0, over);
    });
  };
  const auto run = [&reused](const Tensor& y, const Tensor& gradient) {
    reused.clear();
    y.backward(gradient);
    return reused;
  };
  using Flags = std::vector<bool>;
  const Tensor x = leaf(2.0), three = Tensor::from(std::vector<double>{3.0}, {1});
  CHECK(run(times(probe(times(x, 2.0)), 2.0), three) == Flags{true});
  CHECK(run(probe(times(x, 2.0)), three) == Flags{false});  // the caller's
  CHECK(three.item() == 3.0);
  const Tensor both = probe(x);
  CHECK(run(plus(times(both, 2.0), times(both, 5.0)), three) == Flags{true});     // their sum
  CHECK(run(times(plus(probe(x), probe(x)), 2.0), three) == Flags{false, true});  // the second is the last to read it

  Tensor kept = probe(x);
  kept.retain_grad();
  CHECK(run(times(kept, 2.0), three) == Flags{false});
  CHECK(kept.grad().item() == 6.0);

  double memory = 7.0;
  const Tensor wrapped = record("wrapped", {probe(x)}, three.clone(),
                                [&memory](Backward& b) { b.set(0, Tensor::wrap(&memory, {1}, DType::f64)); });
  CHECK(run(wrapped, three) == Flags{false});
}

TEST_CASE("gradients accumulate over backward passes until zeroed") {
  Tensor x = leaf(1.0);
  times(x, 2.0).backward();
  times(x, 3.0).backward();
  CHECK(x.grad().item() == 5.0);
  x.zero_grad();
  times(x, 4.0).backward();
  CHECK(x.grad().item() == 4.0);
}

TEST_CASE("a graph a hundred thousand deep runs and is freed without recursion") {
  Tensor x = leaf(1.0);
  Tensor y = x;
  for (int i = 0; i < 100000; ++i) y = plus(y, x);
  y.backward();
  CHECK(x.grad().item() == 100001.0);
  Tensor unused = x;
  for (int i = 0; i < 100000; ++i) unused = times(unused, 1.0);  // freed without backward()
}

TEST_CASE("backward frees what the graph held, and says so when asked again") {
  Tensor x = leaf(1.0);
  std::weak_ptr<int> watched;
  Tensor y;
  {
    auto held = std::make_shared<int>(7);
    watched = held;
    y = record("hold", {x}, Tensor::from(std::vector<double>{1.0}, {1}), [held](Backward& b) { b.set(0, b.dy()); });
  }
  CHECK_FALSE(watched.expired());
  y.backward();
  CHECK(watched.expired());
  CHECK_THROWS_WITH(y.backward(), Catch::Contains("already used"));
}

TEST_CASE("NoGrad, detach and inputs without gradient leave no record") {
  Tensor x = leaf(1.0);
  {
    const NoGrad no_grad;
    CHECK_FALSE(times(x, 2.0).requires_grad());
  }
  CHECK(times(x, 2.0).requires_grad());
  CHECK_FALSE(times(x.detach(), 2.0).requires_grad());
  CHECK_THROWS_WITH(times(x.detach(), 2.0).backward(), Catch::Contains("does not depend"));
}

TEST_CASE("a multi-output function sees undefined gradients where nothing flowed") {
  Tensor x = leaf(3.0);
  std::vector<Tensor> outputs = {Tensor::from(std::vector<double>{3.0}, {1}),
                                 Tensor::from(std::vector<double>{9.0}, {1})};
  record("pair", {x}, outputs, [](Backward& b) {
    CHECK_FALSE(b.dy(0).defined());
    b.set(0, times(b.dy(1), 6.0));
  });
  times(outputs[1], 1.0).backward();
  CHECK(x.grad().item() == 6.0);
}

TEST_CASE("a leaf's own accumulator is offered while it is zero") {
  Tensor x = leaf(3.0);
  Tensor arena = Tensor::full({1}, 123.0, DType::f64);
  set_grad(x, arena);
  x.zero_grad();
  const auto in_place = [](const Tensor& input) {
    return record("in_place", {input}, Tensor::from(std::vector<double>{1.0}, {1}), [](Backward& b) {
      Tensor dx = b.buffer(0);
      dx.fill(2.0);
      b.set(0, dx);
    });
  };
  int hooks = 0;
  x.add_grad_hook([&](Tensor&) { ++hooks; });
  plus(in_place(x), in_place(x)).backward();
  CHECK(x.grad().raw_data() == arena.raw_data());
  CHECK(arena.item() == 4.0);
  CHECK(hooks == 2);
}

TEST_CASE("reshape and narrow share memory and pass gradients") {
  Tensor x = test::random_tensor({4, 3}, 1);
  x.set_requires_grad();
  const Tensor rows = x.narrow(1, 2);
  CHECK(rows.raw_data() == x.data<double>() + 3);
  rows.reshape({6}).backward(Tensor::full({6}, 2.0, DType::f64));
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, 0});
  CHECK_THROWS_WITH(x.narrow(3, 2), Catch::Contains("rows 3 to 5"));
  CHECK_THROWS_WITH(x.reshape({5}), Catch::Contains("[4,3]"));
}

TEST_CASE("a gradient of the wrong shape is refused by name") {
  Tensor x = leaf(1.0);
  const Tensor y = record("wrong", {x}, Tensor::from(std::vector<double>{1.0}, {1}),
                          [](Backward& b) { b.set(0, Tensor::zeros({2}, DType::f64)); });
  CHECK_THROWS_WITH(y.backward(), Catch::Contains("wrong: the gradient of input 0"));
}

TEST_CASE("an intermediate keeps its gradient when asked") {
  Tensor x = leaf(1.0);
  Tensor y = times(x, 2.0);
  y.retain_grad();
  times(y, 5.0).backward();
  CHECK(y.grad().item() == 5.0);
  CHECK(x.grad().item() == 10.0);
}

TEST_CASE("a hook runs for a leaf that backward starts from") {
  Tensor x = leaf(3.0);
  int hooks = 0;
  x.add_grad_hook([&](Tensor&) { ++hooks; });
  x.backward();
  CHECK(hooks == 1);
  CHECK(x.grad().item() == 1.0);
}

TEST_CASE("a hook sees an intermediate's whole gradient once, while the tensor is held, and hooks add up") {
  Tensor x = leaf(1.0);
  Tensor y = times(x, 2.0);
  std::vector<double> seen;
  y.add_grad_hook([&](Tensor& t) { seen.push_back(t.grad().item()); });
  y.add_grad_hook([&](Tensor& t) { seen.push_back(-t.grad().item()); });
  plus(times(y, 5.0), times(y, 3.0)).backward();
  CHECK(seen == std::vector<double>{8, -8});
  CHECK_FALSE(y.grad().defined());  // nobody asked to keep it
  CHECK(x.grad().item() == 16.0);
  {
    Tensor let_go = times(x, 2.0);
    let_go.add_grad_hook([&](Tensor&) { seen.clear(); });
    y = times(let_go, 1.0);
  }
  y.backward();
  CHECK(seen.size() == 2);
}

TEST_CASE("a leaf is complete once, behind its last use, though that gives it nothing") {
  Tensor x = leaf(3.0), y = leaf(2.0), unused = leaf(1.0);
  const Tensor dead = record("gives_nothing", {y}, Tensor::from(std::vector<double>{1.0}, {1}), [](Backward&) {});
  std::vector<std::string> seen;
  const CompleteGradients watch([&](const Tensor& complete) {
    seen.push_back((complete.same_as(x)   ? "x "
                    : complete.same_as(y) ? "y "
                                          : "other ") +
                   (complete.grad().defined() ? std::to_string(static_cast<int>(complete.grad().item())) : "none"));
  });
  plus(times(x, 2.0), times(plus(x, dead), 5.0)).backward();
  std::sort(seen.begin(), seen.end());
  CHECK(seen == std::vector<std::string>{"x 7", "y none"});
  seen.clear();
  unused.backward();
  CHECK(seen == std::vector<std::string>{"other 1"});
  CHECK_THROWS_WITH(CompleteGradients([](const Tensor&) {}), Catch::Contains("one at a time"));
}

TEST_CASE("a backward pass within another completes nothing by itself") {
  Tensor x = leaf(1.0);
  const auto twice = record("nested", {x}, Tensor::from(std::vector<double>{1.0}, {1}), [x](Backward& bw) {
    for (int i = 0; i < 2; ++i) {
      const WithGrad with_grad;
      times(x, 3.0).backward(bw.dy());
    }
  });
  std::vector<double> seen;
  const CompleteGradients watch([&](const Tensor& complete) { seen.push_back(complete.grad().item()); });
  twice.backward();
  CHECK(seen == std::vector<double>{6.0});
  times(x, 1.0).backward();
  CHECK(seen == std::vector<double>{6.0, 7.0});
}

TEST_CASE("observers nest: the first one made sees first, and may change what the next one sees") {
  const Tensor x = leaf(3.0);
  std::vector<double> seen;
  const RecordObserver outer([&](const char*, Tensor& output) { output.detach().fill(7.0); });
  {
    const RecordObserver inner([&](const char*, Tensor& output) { seen.push_back(output.item()); });
    times(x, 2.0);
  }
  const Tensor y = times(x, 2.0);
  CHECK(seen == std::vector<double>{7});
  CHECK(y.item() == 7);
}

TEST_CASE("backward refuses what would read values that were written since") {
  Tensor x = leaf(1.0);
  Tensor memory = Tensor::zeros({4}, DType::f64), saved = memory.narrow(0, 1), other = memory.narrow(2, 1);
  const auto run = [&](const std::function<void()>& write) {
    const Tensor y = record("reads", {x}, Tensor::from(std::vector<double>{1.0}, {1}), {Tensor(), saved},
                            [](Backward& b) { b.set(0, b.dy()); });
    write();
    y.backward();
  };
  const auto refusal = Catch::Contains("reads: f64 [1] on cpu, which its backward pass reads, was changed");
  CHECK_THROWS_WITH(run([&] { saved.fill(2.0); }), refusal);
  CHECK_THROWS_WITH(run([&] { saved.detach().copy_from(leaf(3.0)); }), refusal);
  CHECK_THROWS_WITH(run([&] { mark_changed(saved); }), refusal);
  CHECK_THROWS_WITH(run([&] { other.fill(2.0); }), refusal);  // one memory has one count
  CHECK(!x.grad().defined());
  CHECK_NOTHROW(run([] {}));
  CHECK_NOTHROW(run([&] { saved.clone().fill(5.0); }));
  CHECK_NOTHROW(run([&] { x.fill(5.0); }));  // an input that nobody reads
  CHECK(x.grad().item() == 3.0);

  Tensor wide = Tensor::zeros({2}, DType::f32), half = shadow(wide);
  saved = half;
  CHECK_THROWS_WITH(run([&] { wide.fill(1.0); }), Catch::Contains("reads: bf16 [2]"));
  CHECK_THROWS_WITH(run([&] { mark_changed(wide); }), Catch::Contains("reads: bf16 [2]"));
}
