// Times a whole SimCLR training step of clips as train_video's recipes have it ((2+1)D ResNet-18, head, NT-Xent,
// backward, the recipe's optimizer), and prints one JSON line.
#include "recipes/clip_recipes.h"
#include "step.h"

#include <simclr/nn/video_resnet.h>

#include <cstdio>

namespace nn = simclr::nn;

namespace {

bench::Json describe(const ClipRecipe& r, const simclr::Shape& views) {
  return {{"width", r.width},
          {"stem", r.stem == nn::Stem::imagenet ? "imagenet" : "cifar"},
          {"views", views[0]},
          {"frames", views[1]},
          {"size", views[2]},
          {"channels", views[4]},
          {"head_hidden", r.head_hidden},
          {"head_out", r.head_out},
          {"optimizer", r.optimizer},
          {"momentum", r.momentum},
          {"weight_decay", r.weight_decay},
          {"temperature", r.temperature}};
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times a training step of clips.");
  std::int64_t frames = 0, size = 0, channels = 3;
  bench::StepOptions options{.preset = "moving"};
  bench.app.add_option("--frames", frames, "Of a view; 0: the recipe's")->check(CLI::Range(0, 1024));
  bench.app.add_option("--size", size, "Pixels of a frame's side; 0: the recipe's")->check(CLI::Range(0, 4096));
  bench.app.add_option("--channels", channels, "Of a frame, which is the data's to say: moving's have 1")
      ->check(CLI::Range(1, 4));
  options.add_to(bench.app, "moving, small or cvrl");
  bench.parse(argc, argv);

  const ClipRecipe& r = clip_recipe(options.preset);
  const std::int64_t views = options.views_of(r);
  if (frames == 0) frames = r.times.frames;
  if (size == 0) size = r.size;
  const simclr::Shape shape{views, frames, size, size, channels};
  if (options.describe) {
    std::printf("%s\n", describe(r, shape).dump().c_str());
    return 0;
  }
  const auto encoder =
      std::make_shared<nn::VideoResNet>(nn::VideoResNetOptions{.stem = r.stem, .width = r.width, .channels = channels});
  bench::measure_step(bench, options, "clip_step", {{"preset", options.preset}, {"frames", frames}, {"size", size}},
                      views, bench::training_step(bench, r, encoder, bench.random(shape, 7)));
}
