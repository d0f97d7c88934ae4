#include <simclr/nn/onnx_encoders.h>

#include <vector>

// Evaluation's view of a picture (data::Augmentation::evaluation()), as nodes: the arithmetic is that of ResizeAxis in
// kernels/shared/augment_pixels.h. Of a square of n pixels, resized to S, position i takes pixel j by the filter's
// weight at x_ij = |(j + 1/2) - (i + 1/2) n / S| / max(n / S, 1), and the weights of a position sum to 1. That is a
// matrix [S,n], which is made of n when the graph runs, for rows and columns alike.
namespace simclr::nn::onnx {

namespace {

constexpr const char* scope = "preprocessing";

std::string cast(Layers& layers, const std::string& x) {
  return layers.graph().add(scope, "Cast", {x}, {{"to", static_cast<std::int64_t>(ElementType::f32)}});
}

/// The filter at x [S,n], before normalisation.
std::string filter(Graph& graph, const std::string& x, kernels::Interpolation interpolation) {
  const auto op = [&graph](const char* name, const std::string& a, const std::string& b) {
    return graph.add(scope, name, {a, b});
  };
  const auto real = [&graph](float value) { return graph.real(value); };
  if (interpolation == kernels::Interpolation::bilinear) return op("Max", op("Sub", real(1), x), real(0));
  constexpr float a = -0.5f;  // Keys' cubic
  const std::string inner = op("Sub", op("Mul", real(a + 2), x), real(a + 3));
  const std::string near = op("Add", op("Mul", op("Mul", inner, x), x), real(1));
  const std::string outer = op("Sub", op("Mul", op("Add", op("Mul", real(a), x), real(-5 * a)), x), real(-8 * a));
  const std::string far = op("Sub", op("Mul", outer, x), real(4 * a));
  const std::string beyond = graph.add(scope, "Where", {op("Less", x, real(2)), far, real(0)});
  return graph.add(scope, "Where", {op("Less", x, real(1)), near, beyond});
}

/// [S,n] for a square of n pixels, a scalar.
std::string resize_matrix(Layers& layers, const std::string& n, const kernels::AugmentPolicy& policy) {
  Graph& graph = layers.graph();
  std::vector<float> middles;
  for (std::int32_t i = 0; i < policy.size; ++i) middles.push_back(static_cast<float>(i) + 0.5f);
  const std::string positions = graph.initializer("preprocessing/positions", Tensor::from(middles, {policy.size, 1}));
  const std::string shrinks = graph.add(scope, "Div", {cast(layers, n), graph.real(static_cast<float>(policy.size))});
  const std::string stretch = graph.add(scope, "Max", {shrinks, graph.real(1)});
  const std::string centers = graph.add(scope, "Mul", {positions, shrinks});
  const std::string pixels = cast(layers, graph.add(scope, "Range", {graph.integer(0), n, graph.integer(1)}));
  const std::string taps = graph.add(scope, "Add", {pixels, graph.real(0.5f)});
  const std::string apart = graph.add(scope, "Abs", {graph.add(scope, "Sub", {taps, centers})});
  const std::string weights = filter(graph, graph.add(scope, "Div", {apart, stretch}), policy.interpolation);
  const std::string sums =
      graph.add(scope, "ReduceSum", {weights, graph.integers({1})}, {{"keepdims", std::int64_t{1}}});
  return graph.add(scope, "Div", {weights, sums});
}

/// The largest centred square of u8 [N,height,width,C], `side` a vector of one.
std::string centred_square(Layers& layers, const std::string& x, const std::string& sizes, const std::string& side) {
  Graph& graph = layers.graph();
  const std::string left_over = graph.add(scope, "Sub", {sizes, side});
  const std::string begin = graph.add(scope, "Div", {left_over, graph.integers({2})});
  const std::string end = graph.add(scope, "Add", {begin, side});
  return graph.add(scope, "Slice", {x, begin, end, graph.integers({1, 2})});
}

/// A number for each channel, [C,1,1].
std::string each_channel(Layers& layers, const std::string& name, const std::vector<float>& values) {
  return layers.graph().initializer(name, Tensor::from(values, {std::ssize(values), 1, 1}));
}

}  // namespace

std::string prepared_pictures(Layers& layers, const std::string& x, const kernels::AugmentPolicy& policy) {
  Graph& graph = layers.graph();
  const std::string sizes =
      graph.add(scope, "Slice", {graph.add(scope, "Shape", {x}), graph.integers({1}), graph.integers({3})});
  const std::string side =
      graph.add(scope, "ReduceMin", {sizes}, {{"axes", std::vector<std::int64_t>{0}}, {"keepdims", std::int64_t{1}}});
  const std::string square = cast(layers, centred_square(layers, x, sizes, side));
  const std::string planes = layers.transposed(square, scope, {0, 3, 1, 2});
  const std::string matrix = resize_matrix(layers, layers.without_axis(side, scope, 0), policy);
  const std::string rows = graph.add(scope, "MatMul", {matrix, planes});
  const std::string resized = graph.add(scope, "MatMul", {rows, layers.transposed(matrix, scope, {1, 0})});
  std::string values = graph.add(scope, "Div", {resized, graph.real(255)});
  if (policy.interpolation == kernels::Interpolation::bicubic) {  // which overshoots at edges
    values = graph.add(scope, "Clip", {values, graph.real(0), graph.real(1)});
  }
  const std::vector<float> mean(policy.mean, policy.mean + policy.channels);
  const std::vector<float> stddev(policy.stddev, policy.stddev + policy.channels);
  values = graph.add(scope, "Sub", {values, each_channel(layers, "preprocessing/mean", mean)});
  return graph.add(scope, "Div", {values, each_channel(layers, "preprocessing/stddev", stddev)});
}

}  // namespace simclr::nn::onnx
