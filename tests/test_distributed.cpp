// Ranks that share a batch compute what one process does with the whole: values and gradients, in double.

#include <simclr/core/autograd.h>
#include <simclr/core/world.h>
#include <simclr/nn/distributed.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/ranks.h"
#include "support/tensors.h"

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::nn;
using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::of_each;
using simclr::test::random_tensor;
using simclr::test::relative_error;
using simclr::test::same_bits;
using simclr::test::share;
using simclr::test::SmallEncoder;

namespace {

using Named = std::map<std::string, Tensor>;

/// The worst error of any tensor against `right`'s of the same name, each against its own scale, but no smaller a one
/// than 1e-3: a gradient may be zero but for rounding. Infinite where they are not the same names.
double worst_error(const Named& got, const Named& right) {
  double worst = got.size() == right.size() ? 0 : INFINITY;
  for (const auto& [name, value] : right) {
    const auto found = got.find(name);
    if (found == got.end()) return INFINITY;
    const auto a = found->second.to_vector<double>(), b = value.to_vector<double>();
    if (a.size() != b.size()) return INFINITY;
    double error = 0, scale = 1e-3;
    for (std::size_t i = 0; i < a.size(); ++i) {
      error = std::max(error, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : INFINITY);
      scale = std::max(scale, std::abs(b[i]));
    }
    worst = std::max(worst, error / scale);
  }
  return worst;
}

/// [N,5] -> [N,4].
class Rows : public Module {
 public:
  explicit Rows(std::uint64_t seed) : linear_(add_module("fc", std::make_shared<Linear>(LinearOptions{5, 4}))) {
    initialize(seed);
  }
  Tensor forward(const Input& input) override { return relu((*linear_)(input)); }
  std::int64_t output_features() const override { return 4; }

 private:
  std::shared_ptr<Linear> linear_;
};

std::shared_ptr<SimCLR> small_model(int views = 2) {
  auto model = std::make_shared<SimCLR>(SimCLROptions{.encoder = std::make_shared<SmallEncoder>(),
                                                      .head = {.hidden = 7, .out = 6, .last_batchnorm = true},
                                                      .loss = {.views = views}});
  model->to(DType::f64);
  return model;
}

std::shared_ptr<TwoTowers> small_towers(bool shared) {
  const auto first = std::make_shared<Rows>(1), second = shared ? first : std::make_shared<Rows>(2);
  auto model = std::make_shared<TwoTowers>(
      TwoTowersOptions{.encoders = {first, second},
                       .heads = {{{.hidden = 7, .out = 6}, {.hidden = 7, .out = 6, .seed = 1}}},
                       .learn_temperature = true});
  model->to(DType::f64);
  return model;
}

/// Loss, gradients, and parameters and buffers after `steps` updates, of a rank's part of the batch.
Named trained(World& world, Model& model, const std::vector<Input>& inputs, int steps = 2, std::int64_t micro = 0) {
  model.set_world(&world);
  Sgd optimizer(model.parameters(), {}, {{0.5f}});
  Named out;
  for (int i = 0; i < steps; ++i) {
    const Tensor loss = model.loss_of(inputs, micro);
    loss.backward();
    world.all_reduce(optimizer.gradients());
    out["loss " + std::to_string(i)] = loss.detach();
    out["gradients " + std::to_string(i)] = optimizer.gradients().clone();
    for (const Parameter& parameter : model.parameters()) {
      out["gradient of " + parameter.name + " " + std::to_string(i)] = parameter.value.grad().clone();
    }
    optimizer.step(loss);
  }
  for (const auto& [name, value] : model.state()) out[name] = value;
  return out;
}

Named trained_small(World& world, std::int64_t samples, int views = 2, DType dtype = DType::f64, int steps = 2) {
  const auto model = small_model(views);
  model->to(dtype);
  const Tensor whole = random_tensor({views * samples, 5, 4, 3}, 7, dtype);
  return trained(world, *model, {share(world, whole, views)}, steps);
}

}  // namespace

TEST_CASE("gather gives all ranks' rows, and every rank's loss reaches them") {
  for (const int ranks : {1, 2, 3, 4}) {
    const std::int64_t own = 3;
    const Tensor whole = random_tensor({own * ranks, 5}, 1);
    const auto weights = [&](int rank) { return random_tensor(whole.shape(), static_cast<std::uint64_t>(50 + rank)); };
    const auto got = of_each(ranks, [&](World& world) {
      Tensor x = whole.narrow(world.rank() * own, own).clone().set_requires_grad();
      const Tensor all = gather(world, x);
      sum(multiply(all, weights(world.rank()))).backward();
      return std::vector{all.detach(), x.grad()};
    });
    Tensor gradient = weights(0).clone();
    for (int r = 1; r < ranks; ++r) gradient = add(gradient, weights(r));
    CAPTURE(ranks);
    for (int r = 0; r < ranks; ++r) {
      CHECK(same_bits(got[static_cast<std::size_t>(r)][0], whole));
      CHECK(same_bits(got[static_cast<std::size_t>(r)][1], gradient.narrow(r * own, own)));
    }
  }
}

TEST_CASE("views are gathered one after the other, as one process has them") {
  for (const int views : {1, 2, 3}) {
    for (const int ranks : {1, 2, 3}) {
      const Tensor whole = random_tensor({views * ranks * 2, 5}, 1);
      const Tensor weights = random_tensor(whole.shape(), 2);
      const auto got = of_each(ranks, [&](World& world) {
        Tensor z = share(world, whole, views).set_requires_grad();
        const Tensor all = gather_views(world, z, views);
        sum(multiply(all, weights)).backward();
        return std::vector{all.detach(), z.grad(), scale(share(world, weights, views), world.size())};
      });
      CAPTURE(views, ranks);
      for (const auto& of : got) {
        CHECK(same_bits(of[0], whole));
        CHECK(relative_error(of[1], of[2]) < 1e-15);
      }
    }
  }
  World world;
  CHECK_THROWS_WITH(gather_views(world, Tensor::zeros({3, 2})), Contains("is not 2 views of each sample"));
}

TEST_CASE("NT-Xent of the ranks' views is that of one process") {
  for (const int views : {2, 3}) {
    for (const int ranks : {1, 2, 3, 4}) {
      for (const std::int64_t own : {1, 2, 5, 33}) {
        const Tensor whole = random_tensor({views * ranks * own, 6}, 5);
        const Tensor start = Tensor::full({}, 1.3, DType::f64);
        World alone;
        const auto of = [&](World& world) {
          Tensor z = share(world, whole, views).set_requires_grad(), scale = start.clone().set_requires_grad();
          const Tensor loss = nt_xent(world, z, {.logit_scale = scale, .views = views});
          loss.backward();
          world.all_reduce(scale.grad());
          return std::vector{loss.detach(), z.grad(), scale.grad()};
        };
        const auto right = of(alone);
        const auto got = of_each(ranks, of);
        CAPTURE(views, ranks, own);
        const auto rows_of = [&](int rank) {
          return of_each(ranks,
                         [&](World& world) { return share(world, right[1], views); })[static_cast<std::size_t>(rank)];
        };
        for (int r = 0; r < ranks; ++r) {
          const auto& mine = got[static_cast<std::size_t>(r)];
          CHECK(relative_error(mine[0], right[0]) < 1e-12);
          CHECK(relative_error(mine[1], rows_of(r)) < 1e-10);
          CHECK(relative_error(mine[2], right[2]) < 1e-10);
        }
      }
    }
  }
}

TEST_CASE("a learned temperature is capped as one process caps it, though the shares differ in sign") {
  // At tau 0.01 rank 0's sample asks for a smaller one, rank 1's weakly for a larger one; with the third view rank 1's
  // first alone does.
  const Tensor three = Tensor::from(
      std::vector<double>{1, 0, 0, 0.985, 0.17255, 0, 1, 0, 0, 0.985, 0.07403, 0.15587, 1, 0, 0, 0.985, 0.16, 0.06},
      {6, 3});
  struct Case {
    bool towers;
    int views;
    DType dtype;
    double tolerance;
  };
  for (const Case& c : {Case{true, 2, DType::f64, 1e-12}, Case{false, 2, DType::f64, 1e-12},
                        Case{false, 3, DType::f64, 1e-12}, Case{false, 2, DType::f32, 1e-4}}) {
    for (const double beyond : {-1e-3, 1e-6}) {
      const auto of = [&](World& world) {
        Tensor z = share(world, three.narrow(0, 2 * c.views), c.views).to(c.dtype).set_requires_grad();
        Tensor scale = Tensor::full({}, std::log(100.0) + beyond, c.dtype).set_requires_grad();
        const NtXentOptions options = {.logit_scale = scale, .views = c.views};
        const std::int64_t own = z.dim(0) / c.views;
        const Tensor all = sample_groups(2, 1);
        const kernels::NtXentPairs pairs = {
            .self_offset = -1, .anchor_group = all.narrow(world.rank() * own, own), .candidate_group = all};
        const Tensor loss = c.towers ? nt_xent(world, z.narrow(0, own), z.narrow(own, own), pairs, options)
                                     : nt_xent(world, z, options);
        loss.backward();
        world.all_reduce(scale.grad());
        return std::vector{loss.item(), scale.grad().item()};
      };
      World alone;
      const auto right = of(alone);
      CAPTURE(c.towers, c.views, c.tolerance, beyond);
      CHECK((beyond > 0 ? right[1] == 0 : right[1] < -0.01));
      for (const auto& got : of_each(2, of)) {
        CHECK(std::abs(got[0] - right[0]) < c.tolerance);
        CHECK(std::abs(got[1] - right[1]) < c.tolerance);
      }
    }
  }
}

TEST_CASE("SupCon of the ranks' views is that of one process, where samples of one label lie on several ranks") {
  for (const int views : {2, 3}) {
    for (const int ranks : {1, 2, 3, 4}) {
      const std::int64_t own = 5, samples = ranks * own;
      const Tensor whole = random_tensor({views * samples, 6}, 5);
      // Of a view: 0 to 3, and a sample without a label, which is alone but for its own views.
      std::vector<std::int32_t> of_view = test::classes_of(samples, 4, 3).to_vector<std::int32_t>(), groups;
      of_view[1] = -2;
      for (int v = 0; v < views; ++v) groups.insert(groups.end(), of_view.begin(), of_view.end());
      const Tensor whole_groups = Tensor::from(groups, {views * samples});
      const auto of = [&](World& world) {
        Tensor z = share(world, whole, views).set_requires_grad();
        const Tensor loss = supcon(world, z, share(world, whole_groups, views), {.temperature = 0.2, .views = views});
        loss.backward();
        return std::vector{loss.detach(), z.grad()};
      };
      World alone;
      const auto right = of(alone);
      Tensor z = whole.clone().set_requires_grad();
      const Tensor loss =
          nt_xent(z, z, {.anchor_group = whole_groups, .candidate_group = whole_groups}, {.temperature = 0.2});
      CHECK(same_bits(right[0], loss.detach()));
      CAPTURE(views, ranks);
      const auto parts = of_each(ranks, [&](World& world) { return share(world, right[1], views); });
      const auto got = of_each(ranks, of);
      for (std::size_t r = 0; r < got.size(); ++r) {
        CHECK(relative_error(got[r][0], right[0]) < 1e-12);
        CHECK(relative_error(got[r][1], parts[r]) < 1e-10);
      }
    }
  }
  World world;
  CHECK_THROWS_WITH(supcon(world, Tensor::zeros({4, 2}), Tensor::zeros({3}, DType::i32)),
                    Contains("are not one of each row of 2 views"));
}

TEST_CASE("batch norm over ranks: values, statistics and gradients are the whole batch's") {
  for (const bool rectified : {false, true}) {
    for (const int ranks : {1, 2, 3, 4}) {
      for (const std::int64_t own : {2, 7}) {
        const std::int64_t rows = own * ranks;
        // Means that differ from rank to rank, so that statistics of its own are far off.
        const Tensor x =
            add(random_tensor({rows, 3}, 1), test::classes_of(rows * 3, rows * 3).to(DType::f64).reshape({rows, 3}));
        const Tensor dy = random_tensor({rows, 3}, 2), residual = random_tensor({rows, 3}, 3);
        const auto of = [&](World& world) {
          const auto mine = [&](const Tensor& all) { return share(world, all, 1).set_requires_grad(); };
          Tensor own_x = mine(x), own_residual = mine(residual);
          Tensor gamma = random_tensor({3}, 4).set_requires_grad(), beta = random_tensor({3}, 5).set_requires_grad();
          const Tensor mean = Tensor::zeros({3}, DType::f64), var = Tensor::full({3}, 1.0, DType::f64);
          const Tensor y = batchnorm(own_x, gamma, beta, mean, var, own_residual, {.relu = rectified, .world = &world});
          y.backward(share(world, dy, 1));
          world.all_reduce(gamma.grad());
          world.all_reduce(beta.grad());
          return Named{{"y", world.all_gather(y.detach())},
                       {"dx", world.all_gather(own_x.grad())},
                       {"dresidual", world.all_gather(own_residual.grad())},
                       {"mean", mean},
                       {"var", var},
                       {"dgamma", gamma.grad()},
                       {"dbeta", beta.grad()}};
        };
        World alone;
        const Named right = of(alone);
        CAPTURE(rectified, ranks, own);
        for (const Named& got : of_each(ranks, of)) CHECK(worst_error(got, right) < 1e-10);
      }
    }
  }
}

TEST_CASE("a rank alone in its batch norm would have no variance; with others it has") {
  const Tensor x = random_tensor({2, 3}, 1);
  const auto messages = of_each(2, [&](World& world) {
    const Tensor one = Tensor::full({3}, 1.0, DType::f64);
    return message_of([&] { batchnorm(share(world, x, 1), one, one, {}, {}, {}, {.world = &world}); });
  });
  CHECK(messages == std::vector<std::string>(2, "no error"));
}

TEST_CASE("training in ranks is training in one process: loss, every gradient, weights and statistics") {
  for (const int views : {2, 3}) {
    for (const int ranks : {1, 2, 3, 4}) {
      for (const std::int64_t own : {1, 3}) {
        World alone;
        const Named right = trained_small(alone, ranks * own, views);
        const auto got = of_each(ranks, [&](World& world) { return trained_small(world, ranks * own, views); });
        CAPTURE(views, ranks, own);
        for (const Named& of_rank : got) CHECK(worst_error(of_rank, right) < 1e-10);
      }
    }
  }
}

TEST_CASE("thirty steps in ranks end where one process ends") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    World alone;
    const std::int64_t samples = 12;
    const auto losses = [&](World& world) {
      const Named all = trained_small(world, samples, 2, dtype, 30);
      return std::pair(all.at("loss 0").item(), all.at("loss 29").item());
    };
    const auto right = losses(alone);
    CHECK(right.second < right.first - 0.1);
    const bool exact = dtype == DType::f64;
    for (const int ranks : {2, 3, 4}) {
      CAPTURE(dtype, ranks);
      for (const auto& got : of_each(ranks, losses)) {
        CHECK(std::abs(got.first - right.first) < (exact ? 1e-13 : 1e-6));
        CHECK(std::abs(got.second - right.second) < (exact ? 1e-11 : 5e-4));
      }
    }
  }
}

TEST_CASE("training in ranks gives the same bits each time, on every rank") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto run = [&] { return of_each(2, [&](World& world) { return trained_small(world, 6, 2, dtype); }); };
    const auto first = run(), second = run();
    for (const auto& [name, value] : first[0]) {
      CAPTURE(dtype, name);
      CHECK(same_bits(value, first[1].at(name)));
      CHECK(same_bits(value, second[0].at(name)));
    }
  }
}

TEST_CASE("two towers in ranks: loss, gradients and the learned temperature, with groups and without") {
  for (const bool shared : {false, true}) {
    for (const bool grouped : {false, true}) {
      for (const int ranks : {1, 2, 3}) {
        const std::int64_t samples = ranks * 4;
        const auto of = [&](World& world) {
          const auto model = small_towers(shared);
          Input first = share(world, random_tensor({samples, 5}, 1), 1);
          const Input second = share(world, random_tensor({samples, 5}, 2), 1);
          // Groups that two ranks share.
          if (grouped) first.groups = share(world, test::classes_of(samples, 3, 5), 1);
          return trained(world, *model, {first, second});
        };
        World alone;
        const Named right = of(alone);
        CAPTURE(shared, grouped, ranks);
        for (const Named& got : of_each(ranks, of)) CHECK(worst_error(got, right) < 1e-10);
      }
    }
  }
}

TEST_CASE("micro-batches within the ranks keep all ranks' negatives") {
  const auto of = [](World& world, std::int64_t micro) {
    SimCLR model({.encoder = std::make_shared<Rows>(1), .head = {.hidden = 7, .out = 6, .batchnorm = false}});
    model.to(DType::f64);
    return trained(world, model, {share(world, random_tensor({12, 5}, 1), 2)}, 2, micro);
  };
  World alone;
  const Named right = of(alone, 0);
  for (const std::int64_t micro : {1, 2}) {
    for (const Named& got : of_each(2, [&](World& world) { return of(world, micro); })) {
      CHECK(worst_error(got, right) < 1e-10);
    }
  }
}

TEST_CASE("a model that was taken out of its world is alone again") {
  World alone;
  const Tensor whole = random_tensor({8, 5, 4, 3}, 7);
  const Tensor right = small_model()->loss_of(std::vector<Input>{share(alone, whole, 2)}).detach();
  const auto losses = of_each(2, [&](World& world) {
    const auto model = small_model();
    model->set_world(&world);
    model->set_world(nullptr);
    return model->loss_of(std::vector<Input>{whole}).detach();
  });
  CHECK(same_bits(losses[1], right));
}
