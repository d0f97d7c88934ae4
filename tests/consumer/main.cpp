// Defines a differentiable function, trains SimCLR for two steps with it, and prints the losses.

#include <core/tensor.h>
#include <simclr/simclr.h>

#include <cstdio>
#include <vector>

namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

/// The mean of x^2, with a loop and a gradient of its own.
Tensor mean_square(const Tensor& x) {
  double sum = 0;
  for (const float value : x.to_vector<float>()) sum += double{value} * value;
  const double scale = 1.0 / static_cast<double>(x.numel());
  const Tensor y = Tensor::full({}, sum * scale);
  return simclr::record("mean_square", {x}, y, {x}, [x = x.detach(), scale](simclr::Backward& b) {
    std::vector<float> dx = x.to_vector<float>();
    for (float& value : dx) value *= static_cast<float>(2 * scale * b.dy().item());
    b.set(0, Tensor::from(dx, x.shape()));
  });
}

Tensor random_views(std::int64_t rows) {
  Tensor views = Tensor::empty({rows, 8, 8, 3});
  const simclr::Random random(1, simclr::RandomPurpose::user);
  float* values = views.data<float>();
  for (std::uint32_t i = 0; i < views.numel(); ++i) values[i] = random.uniform(i);
  return views;
}

}  // namespace

int main() {
  const consumer::Tensor own{.order = 2};

  Tensor x = Tensor::from(std::vector<float>{3, -4}, {2});
  x.set_requires_grad();
  mean_square(x).backward();
  std::printf("gradient: %.6f %.6f\n", x.grad().to_vector<float>()[0], x.grad().to_vector<float>()[1]);

  nn::SimCLR model({.encoder = nn::resnet18({.stem = nn::Stem::cifar, .width = 4}), .head = {.out = 8}});
  nn::Sgd optimizer(model.parameters(), {}, nn::warmup_cosine({.peak = 0.05, .steps = 10}));
  const Tensor views = random_views(8);
  for (int step = 1; step <= own.order; ++step) {
    const Tensor z = model(views);
    const Tensor loss = nn::add(nn::nt_xent(z, {.temperature = 0.5}), nn::scale(mean_square(z), 0.1));
    loss.backward();
    optimizer.step();
    std::printf("step %d: loss %.6f\n", step, loss.item());
  }

  // An exception and its type come across the library's border.
  try {
    (void)nn::add(Tensor::zeros({2}), Tensor::zeros({3}));
  } catch (const simclr::Error& error) {
    std::printf("error: %s\n", error.what());
  }
  std::printf("cuda: %s\n", simclr::device_problem(simclr::DeviceType::cuda).c_str());
}
