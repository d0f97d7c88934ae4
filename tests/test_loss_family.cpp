// The losses of NT-Xent's family as a user of nn has them: in the graph, in models, among ranks, with their chance and
// bound.
#include <simclr/core/world.h>
#include <simclr/nn/distributed.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/simclr.h>

#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/nt_xent_form_reference.h"
#include "support/ranks.h"
#include "support/two_towers.h"

using namespace simclr;
using test::classes_of;
using test::form_reference;
using test::forms;
using test::message_of;
using test::random_tensor;
using test::relative_error;

namespace {

/// Both views of n samples alike, the samples spread as a simplex: what the bounds are of.
Tensor simplex(std::int64_t n, int views) {
  Tensor z = Tensor::zeros({views * n, n}, DType::f64);
  for (std::int64_t i = 0; i < views * n; ++i) {
    for (std::int64_t d = 0; d < n; ++d) {
      z.data<double>()[i * n + d] = (d == i % n ? 1.0 : 0.0) - 1.0 / static_cast<double>(n);
    }
  }
  return z;
}

}  // namespace

TEST_CASE("a loss of the family in the graph: the value of loops, the gradient of central differences") {
  for (const auto& [name, form] : forms) {
    INFO(name);
    const Tensor z = random_tensor({12, 5}, 3);
    const nn::NtXentOptions options = {.temperature = 0.4, .form = form};
    CHECK(nn::nt_xent(z, options).item() == Approx(form_reference(z, z, 0.4, form).loss).epsilon(1e-12));
    if (form.sigma > 0) continue;  // whose weights stay: tests/test_nt_xent_forms.cpp
    const auto square = [&](const std::vector<Tensor>& inputs) { return nn::nt_xent(inputs[0], options); };
    CHECK(test::gradient_error(square, {z.clone()}) < 1e-7);  // it adds to the gradients of its inputs
    const kernels::NtXentPairs pairs = {-1, classes_of(12, 9), classes_of(9, 9)};
    const auto rectangle = [&](const std::vector<Tensor>& inputs) {
      return nn::nt_xent(inputs[0], inputs[1], pairs, options);
    };
    CHECK(test::gradient_error(rectangle, {z.clone(), random_tensor({9, 5}, 4)}) < 1e-7);
    nn::NtXentOptions three = options;
    three.views = 3;
    CHECK(test::gradient_error([&](const std::vector<Tensor>& in) { return nn::nt_xent(in[0], three); }, {z.clone()}) <
          1e-7);
  }
}

TEST_CASE("chance is what equal similarities give, and no embedding is below the bound") {
  for (const auto& [name, form] : forms) {
    for (const int views : {2, 3}) {
      INFO(name << ", " << views << " views");
      const std::int64_t n = 6;
      const nn::NtXentOptions options = {.temperature = 0.3, .views = views, .form = form};
      const double chance = nn::nt_xent_chance(n, views, views - 1, form);
      CHECK(nn::nt_xent(Tensor::full({views * n, 4}, 1.0, DType::f64), options).item() ==
            Approx(chance).epsilon(1e-12));
      const double bound = nn::nt_xent_bound(n, views, views - 1, 0.3, form);
      const double best = nn::nt_xent(simplex(n, views), options).item();
      CHECK(best >= bound - 1e-12);
      if (form.class_prior == 0) CHECK(best == Approx(bound).epsilon(1e-10));
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        CHECK(nn::nt_xent(random_tensor({views * n, 3}, seed), options).item() > bound);
      }
    }
  }
  CHECK(nn::nt_xent_chance(8) == Approx(std::log(15.0)));
  CHECK(nn::nt_xent_chance(8, 2, 1, {.decoupled = true}) == Approx(std::log(14.0)));
}

TEST_CASE("two towers: each loss both ways, its chance and bound") {
  for (const auto& [name, form] : forms) {
    INFO(name);
    const nn::ProjectionHeadOptions head{.hidden = 16, .out = 6, .batchnorm = false};
    nn::TwoTowers model({.encoders = {std::make_shared<test::Mlp>(), std::make_shared<test::Mlp>()},
                         .heads = {head, head},
                         .loss = {.temperature = 0.2, .form = form}});
    const Tensor a = random_tensor({7, 6}, 1), b = random_tensor({7, 6}, 2), own = classes_of(7, 7);
    const kernels::NtXentPairs pairs = {-1, own, own};
    const double wanted = form_reference(a, b, 0.2, form, pairs).loss + form_reference(b, a, 0.2, form, pairs).loss;
    CHECK(model.loss(std::vector{a, b}).item() == Approx(wanted / 2).epsilon(1e-12));
    const Tensor z = simplex(7, 1);
    CHECK(model.loss(std::vector{z, z}).item() >= model.bound(7) - 1e-12);
    if (form.class_prior == 0) CHECK(model.loss(std::vector{z, z}).item() == Approx(model.bound(7)).epsilon(1e-10));
    const Tensor equal = Tensor::full({7, 6}, 1.0, DType::f64);
    CHECK(model.loss(std::vector{equal, equal}).item() == Approx(model.chance(7)).epsilon(1e-12));
  }
  const auto learned = [] {
    return nn::TwoTowers({.encoders = {std::make_shared<test::Mlp>(), std::make_shared<test::Mlp>()},
                          .loss = {.temperature = 0.2, .form = {.class_prior = 0.1}},
                          .learn_temperature = true});
  };
  CHECK(message_of(learned).find("needs a fixed temperature") != std::string::npos);
}

TEST_CASE("ranks give one process's loss and gradient; DCLW's weights they do not share") {
  for (const auto& [name, form] : forms) {
    for (const int views : {2, 3}) {
      for (const int ranks : {2, 3}) {
        const Tensor whole = random_tensor({views * ranks * 4, 6}, 5);
        const auto of = [&, form = form](World& world) {
          Tensor z = test::share(world, whole, views).set_requires_grad();
          const Tensor loss = nn::nt_xent(world, z, {.temperature = 0.3, .views = views, .form = form});
          loss.backward();
          return std::vector{loss.detach(), z.grad()};
        };
        if (form.sigma > 0) {
          const auto said = test::of_each(ranks, [&](World& world) { return message_of([&] { of(world); }); });
          for (const std::string& each : said) CHECK(each.find("use DCL, or one process") != std::string::npos);
          continue;
        }
        World alone;
        const auto right = of(alone);
        const auto got = test::of_each(ranks, of);
        const auto rows = test::of_each(ranks, [&](World& world) { return test::share(world, right[1], views); });
        INFO(name << ", " << views << " views, " << ranks << " ranks");
        for (std::size_t r = 0; r < got.size(); ++r) {
          CHECK(relative_error(got[r][0], right[0]) < 1e-12);
          CHECK(relative_error(got[r][1], rows[r]) < 1e-10);
        }
      }
    }
  }
}
