#include <simclr/core/error.h>
#include <simclr/nn/onnx_encoders.h>
#include <simclr/nn/recurrent.h>
#include <simclr/nn/token_encoder.h>
#include <simclr/nn/transformer.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace simclr::nn::onnx {

namespace {

/// What a GRU gives: y [N,T,D H], and h behind each direction's last step, [N,D H].
struct GruValues {
  std::string y, last;
};

/// Rows r, z, n of both directions' weights or biases as ONNX has them, z, r, n: [D,rows,...].
void append_gates(std::vector<float>& all, const Tensor& values) {
  const std::vector<float> own = values.to_vector<float>();
  const auto gate = own.size() / 3;
  for (const std::size_t from : {std::size_t{1}, std::size_t{0}, std::size_t{2}}) {
    all.insert(all.end(), own.begin() + static_cast<std::ptrdiff_t>(from * gate),
               own.begin() + static_cast<std::ptrdiff_t>((from + 1) * gate));
  }
}

/// An initializer of one layer's, of all its directions; several tensors of a direction stand one behind the other.
std::string gru_weights(Layers& layers, const std::string& at, const std::vector<std::string>& names,
                        const std::vector<std::string>& directions) {
  std::vector<float> all;
  for (const std::string& direction : directions) {
    for (const std::string& name : names) append_gates(all, layers.tensor(at + name + direction));
  }
  const Shape own = layers.tensor(at + names[0] + directions[0]).shape();
  std::vector<std::int64_t> shape = {std::ssize(directions), own[0] * std::ssize(names)};
  if (own.rank() == 2) shape.push_back(own[1]);
  return layers.graph().initializer(at + names[0] + directions[0], Tensor::from(all, Shape(shape)));
}

GruValues gru(Layers& layers, const std::string& name, const GraphInput& input) {
  const std::string at = name + ".";
  Graph& graph = layers.graph();
  std::string y = layers.transposed(input.x, name, {1, 0, 2});  // ONNX's GRU takes [T,N,C]
  std::string last;
  for (int layer = 0; layers.has(at + "weight_ih_l" + std::to_string(layer)); ++layer) {
    const std::string number = "_l" + std::to_string(layer);
    std::vector<std::string> directions = {number};
    if (layers.has(at + "weight_ih" + number + "_reverse")) directions.push_back(number + "_reverse");
    const std::int64_t hidden = layers.tensor(at + "weight_hh" + number).dim(1), count = std::ssize(directions);
    std::vector<std::string> inputs = {y, gru_weights(layers, at, {"weight_ih"}, directions),
                                       gru_weights(layers, at, {"weight_hh"}, directions),
                                       gru_weights(layers, at, {"bias_ih", "bias_hh"}, directions)};
    if (!input.lengths.empty()) inputs.push_back(input.lengths);
    const std::vector<std::string> results =
        graph.add_several(name, "GRU", 2, inputs,
                          {{"direction", std::string(count == 2 ? "bidirectional" : "forward")},
                           {"hidden_size", hidden},
                           {"linear_before_reset", std::int64_t{1}}});  // r (W_hn h + b_hn), as kernels/gru.h
    y = layers.reshaped(layers.transposed(results[0], name, {0, 2, 1, 3}), name, {0, 0, count * hidden});
    last = layers.reshaped(layers.transposed(results[1], name, {1, 0, 2}), name, {0, count * hidden});
  }
  return {layers.transposed(y, name, {1, 0, 2}), last};
}

/// Self-attention of x [N,T,C]; `own` [N,T]: which steps are looked at, or empty.
std::string attention(Layers& layers, const std::string& name, const std::string& x, const std::string& own) {
  Graph& graph = layers.graph();
  const std::int64_t heads = layers.as<MultiHeadAttention>(name)->heads();
  const std::int64_t width = layers.module(name).output_features(), each = width / heads;
  const std::string qkv = layers.linear_of_steps(x, name + ".in_proj_weight", name + ".in_proj_bias");
  const std::string apart =  // [3,N,heads,T,D]
      layers.transposed(layers.reshaped(qkv, name, {0, 0, 3, heads, each}), name, {2, 0, 3, 1, 4});
  const auto part = [&](std::int64_t i) {
    return graph.add(name, "Gather", {apart, graph.integer(i)}, {{"axis", std::int64_t{0}}});
  };
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(each)));
  const std::string q = graph.add(name, "Mul", {part(0), graph.real(factor)});
  std::string scores = graph.add(name, "MatMul", {q, layers.transposed(part(1), name, {0, 1, 3, 2})});
  if (!own.empty()) {
    const std::string mask = graph.add(name, "Unsqueeze", {own, graph.integers({1, 2})});
    scores = graph.add(name, "Where", {mask, scores, graph.real(std::numeric_limits<float>::lowest())});
  }
  const std::string shares = graph.add(name, "Softmax", {scores}, {{"axis", std::int64_t{-1}}});
  const std::string y = layers.transposed(graph.add(name, "MatMul", {shares, part(2)}), name, {0, 2, 1, 3});
  return layers.linear_of_steps(layers.reshaped(y, name, {0, 0, width}), name + ".out_proj.weight",
                                name + ".out_proj.bias");
}

/// Of x [N,T,C], `at` being where the Transformer's names begin.
std::string transformer(Layers& layers, const std::string& at, const std::string& x, const std::string& own) {
  Graph& graph = layers.graph();
  std::string sum = x;
  if (layers.has(at + "positions")) {
    const std::string all = graph.initializer(at + "positions", layers.tensor(at + "positions"));
    const std::string steps = layers.with_axis(layers.steps_of(x, whole(at)), whole(at), 0);
    const std::string first = graph.add(whole(at), "Slice", {all, graph.integers({0}), steps, graph.integers({0})});
    sum = graph.add(whole(at), "Add", {x, first});
  }
  for (int i = 0;; ++i) {
    const std::string layer = at + "layers." + std::to_string(i) + ".";
    if (!layers.has(layer + "self_attn")) break;
    const std::string attended = attention(layers, layer + "self_attn", layers.layer_norm(sum, layer + "norm1"), own);
    sum = graph.add(whole(layer), "Add", {sum, attended});
    const std::string hidden = layers.linear_of_steps(layers.layer_norm(sum, layer + "norm2"), layer + "linear1.weight",
                                                      layer + "linear1.bias");
    const std::string transformed =
        layers.linear_of_steps(layers.gelu(hidden, whole(layer)), layer + "linear2.weight", layer + "linear2.bias");
    sum = graph.add(whole(layer), "Add", {sum, transformed});
  }
  return layers.layer_norm(sum, at + "norm");
}

}  // namespace

std::string gru_encoder(Layers& layers, const std::string& at, const GraphInput& input) {
  const GruValues values = gru(layers, at + "gru", input);
  if (layers.as<GruEncoder>(whole(at))->readout() == Readout::last) return values.last;
  return layers.mean_over_time(values.y, layers.own_steps(input.x, input.lengths), input.lengths);
}

std::string transformer_encoder(Layers& layers, const std::string& at, const GraphInput& input) {
  Graph& graph = layers.graph();
  const std::string own = layers.own_steps(input.x, input.lengths);
  std::string x = input.x;
  if (!own.empty()) {  // a share of 0 times a NaN of the padding is NaN
    x = graph.add(at + "transformer", "Where", {layers.with_axis(own, at + "transformer", 2), x, graph.real(0.0f)});
  }
  return layers.mean_over_time(transformer(layers, at + "transformer.", x, own), own, input.lengths);
}

std::string vision_transformer(Layers& layers, const std::string& at, const std::string& x) {
  const std::string patches = layers.conv_of_pictures(x, at + "conv_proj");
  const std::int64_t width = layers.module(whole(at)).output_features();
  const std::string rows = layers.reshaped(patches, at + "conv_proj", {0, width, -1});
  return transformer_encoder(layers, at + "encoder.", {layers.transposed(rows, at + "conv_proj", {0, 2, 1}), ""});
}

std::string token_encoder(Layers& layers, const std::string& at, const GraphInput& input) {
  Graph& graph = layers.graph();
  const std::string table = at + "embedding.weight", own = layers.own_steps(input.x, input.lengths);
  std::string ids = input.x;
  if (!own.empty()) {  // padding may hold anything
    const std::string zero =
        graph.add(at + "embedding", "Cast", {graph.integer(0)}, {{"to", static_cast<std::int64_t>(ElementType::i32)}});
    ids = graph.add(at + "embedding", "Where", {own, ids, zero});
  }
  std::string x = graph.add(at + "embedding", "Gather", {graph.initializer(table, layers.tensor(table)), ids});
  if (layers.has(at + "network")) {
    const bool recurrent = layers.as<Gru>(at + "network") != nullptr;
    x = recurrent ? gru(layers, at + "network", {x, input.lengths}).y : transformer(layers, at + "network.", x, own);
  }
  return graph.add("features", "Concat",
                   {layers.mean_over_time(x, own, input.lengths), layers.max_over_time(x, own, input.lengths)},
                   {{"axis", std::int64_t{1}}});
}

std::string projection_head(Layers& layers, const std::string& at, const std::string& x) {
  std::string y = x;
  for (int i = 1; layers.has(at + "linear" + std::to_string(i)); ++i) {
    const std::string number = std::to_string(i), linear = at + "linear" + number, norm = at + "bn" + number;
    y = layers.linear_of_rows(y, linear, layers.has(norm) ? norm : "");
    if (layers.has(at + "linear" + std::to_string(i + 1))) y = layers.relu(y, linear);
  }
  return y;
}

}  // namespace simclr::nn::onnx
