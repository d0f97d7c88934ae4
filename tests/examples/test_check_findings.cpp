// What --check makes of figures that no small run gives: test_check.py runs the program on really wrong options.
#include "check/check.h"
#include "modalities/picture_check.h"
#include "modalities/pictures.h"
#include "support/catch.h"
#include "support/ranks.h"

#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <memory>

using namespace simclr;

namespace {

/// What is known of so many copies.
Copies copies(int count) {
  const auto list = std::make_shared<data::TextList>("list.txt");
  list->add("one", 1);
  const auto samples = data::text_dataset(list);
  Copies found;
  for (int k = 0; k <= count; ++k) found.add({}, 0, *samples);
  return found;
}

/// Options and figures of a run with which nothing is wrong.
struct Run {
  Training training;
  CheckFigures figures;
  PictureFigures pictures{.looked_at = 1000, .copies = copies(3), .short_side = 32, .grey = false};
  ChannelFigures channels{.mean = {0.5, 0.45, 0.4}, .stddev = {0.2, 0.25, 0.3}};
  PictureOptions own;
  Pictures modality;

  Run() {
    use(recipe("reference"));
    training.modality = &modality;
    training.world = std::make_shared<World>();
    training.schedule = nn::constant(0.12);
    training.sets.sample_name = "picture";
    figures.overfit.samples = 64;
    figures.overfit.losses = {4.8, 4.5, 4.6, 4.2, 4.0, 3.8, 3.7, 3.5, 3.4, 3.4};
    for (const double gradient : {1.0, 0.3, 0.1, 0.03, 5.0}) {
      figures.overfit.gradients.push_back({.name = "layer" + std::to_string(gradient),
                                           .role = nn::Role::weight,
                                           .value = {.count = 9, .norm = 2},
                                           .gradient = {.count = 9, .norm = gradient}});
    }
    figures.cost = {
        .step_seconds = 1, .views_seconds = 1, .peak_bytes = 1e9, .free_bytes = 2e9, .failed = {}, .fitting = {}};
  }

  Run(const Run&) = delete;

  void use(const PictureRecipe& r) {
    training.options.recipe = r;
    own = r;
    own.augmentation.size = 32;
    training.model = make_simclr(training.options, std::make_shared<nn::Linear>(nn::LinearOptions{.in = 2, .out = 4}));
  }

  /// What is found, in one line each: "memory: ...; try ...".
  std::vector<std::string> findings() const {
    std::vector<std::string> lines;
    for (const Finding& f :
         findings_of(training, figures, picture_findings(own.stem, own.augmentation, pictures, channels, 0.4))) {
      CHECK_FALSE(f.remedy.empty());
      lines.push_back(f.about + ": " + f.problem + "; try " + f.remedy);
    }
    return lines;
  }
};

void finds(const std::string& begin, const std::function<void(Run&)>& spoil, const std::string& remedy = "") {
  Run run;
  spoil(run);
  const auto lines = run.findings();
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Catch::StartsWith(begin) && Catch::EndsWith(remedy));
}

}  // namespace

TEST_CASE("a good run has nothing wrong, and each thing that is wrong is found alone") {
  CHECK(Run().findings().empty());
  finds(
      "memory: a step needs about 3 GB, and 2 GB are free", [](Run& r) { r.figures.cost.peak_bytes = 3e9; },
      "try --micro-batch 256 or less, or a smaller --size or --width");
  finds(
      "memory: a step needs about 99 GB",
      [](Run& r) {
        r.figures.cost.peak_bytes = 99e9;
        r.training.options.micro_batch = 200;
      },
      "try --micro-batch 4 or less, or a smaller --size or --width");
  finds(
      "memory: a step of 512 pictures fails: out of memory on cuda:0",
      [](Run& r) { r.figures.cost.failed = "out of memory on cuda:0: asked for much"; },
      "try a smaller --batch-size, --size or --width");
  finds(
      "memory: a step of 512 pictures fails: out of memory on cuda:0",
      [](Run& r) {
        r.figures.cost.failed = "out of memory on cuda:0: asked for much";
        r.figures.cost.fitting = {.samples = 128, .peak_bytes = 1.5e9};
      },
      "try --micro-batch 128: a step of the whole batch fits so, in 1.5 GB (measured)");
  finds("gradients: the gradient of layer0.030000 vanishes",
        [](Run& r) { r.figures.overfit.gradients[3].gradient.norm = 1e-7; });
  finds("gradients: the gradient of layer5.000000 explodes",
        [](Run& r) { r.figures.overfit.gradients[4].gradient.norm = 1e5; });
  finds("collapse: after training on one batch the features have collapsed", [](Run& r) {
    r.figures.overfit.collapse = {.collapsed = true, .message = "features have collapsed: all inputs give the same"};
  });
  finds(
      "stem: the imagenet stem leaves 1 x 1 cells of a view of 32", [](Run& r) { r.own.stem = nn::Stem::imagenet; },
      "try --stem cifar");
  finds(
      "stem: the cifar stem keeps views of 96",
      [](Run& r) {
        r.own.augmentation.size = 96;
        r.pictures.short_side = 96;
      },
      "try --stem imagenet");
  finds("duplicates: 11 of 1000", [](Run& r) { r.pictures.copies = copies(11); });
  finds("normalisation: channel 1 of the views has mean 0.45 and deviation 9",
        [](Run& r) { r.channels.stddev[1] = 9; });
  finds("normalisation: channel 2 of the views has mean -4", [](Run& r) { r.channels.mean[2] = -4; });
  finds("learning rate: at the run's highest learning rate, 0.12, training on one batch does not get better steadily",
        [](Run& r) { r.figures.overfit.losses.back() = 5.0; });
  finds("learning rate: --lr 2 is far from what is usual", [](Run& r) { r.training.options.recipe.lr = 2; });
}

TEST_CASE("what makes a step smaller is what the kind of data has for it") {
  CHECK(Fitting().remedy("--bands") == "a smaller --bands: not even --micro-batch 2 fits");
  CHECK(Fitting().remedy("") == "a smaller model: not even --micro-batch 2 fits");
  CHECK(Pictures().smaller() == "--size or --width");
}

TEST_CASE("every named recipe is within what the check takes for usual") {
  for (const PictureRecipe& each : recipes()) {
    CAPTURE(each.name);
    Run run;
    run.use(each);
    if (each.size > 0) run.own.augmentation.size = each.size;
    run.pictures.short_side = std::max(32, each.size);  // it is for pictures of that size
    CHECK(run.findings() == std::vector<std::string>{});
  }
}

TEST_CASE("views of one sample are as different as their values are, or as many of their ids") {
  const std::vector<std::int32_t> ids = {7, 8, 9, 1, 70001, 2, 3, 4,
                                         7, 8, 9, 9, 70002, 2, 3, 5};  // two samples, two views
  const Tensor views = Tensor::from(ids, {4, 4});
  CHECK(view_difference(views, 2).value() == Approx((1.0 + 2) / (4 + 4)));  // differ within a sample, and between two
  const double same = 64.0 + (1 + 1), different = (69995.0 * 69995 + 36 + 36 + 16) + (69994.0 * 69994 + 36 + 36 + 25);
  CHECK(view_difference(views.to(DType::f32), 2).value() == Approx(same / different));
  CHECK_FALSE(view_difference(views, 1).has_value());
}

TEST_CASE("What crosses between ranks is told, and its share of the time where that is known") {
  const auto said = test::of_each(2, [](World& world) {
    Run run;
    run.training.world = {std::shared_ptr<void>(), &world};
    CostFigures& cost = run.figures.cost;
    cost.sent = {.messages = 7, .bytes = 3'000'000};
    cost.sending = 0.25;
    std::vector<std::string> texts = {communication(run.training, cost)};
    run.training.compute.device = {DeviceType::cuda};
    texts.push_back(communication(run.training, cost));
    cost.failed = "out of memory";
    texts.push_back(communication(run.training, cost));
    return texts;
  });
  const std::string sends = "communication: each of 2 processes sends 3 MB a step in 7 calls";
  CHECK(said[0] == std::vector<std::string>{sends + ", 25 % of its time, with waiting for the others", sends, ""});
  CHECK(said[1] == said[0]);
  CHECK(communication(Run().training, {.failed = {}, .fitting = {}}).empty());
}
