#pragma once

// Private to nn: the library's layers as nodes of an ONNX graph.

#include <simclr/nn/module.h>
#include <simclr/nn/onnx_graph.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace simclr::nn::onnx {

/// A module's parts by their dotted names, and the nodes that these become. Pictures are [N,C,H,W] here, clips
/// [N,C,T,H,W], sequences [N,T,C]. A function's first argument is the value that the layer is applied to, as all
/// results are.
class Layers {
 public:
  /// The module must outlive it. `fold`: batch normalisation goes into the layer before it.
  Layers(const Module& root, Graph& graph, bool fold);

  /// Whether there is a module or a tensor of this name.
  bool has(const std::string& name) const { return modules_.contains(name) || tensors_.contains(name); }
  const Module& module(const std::string& name) const;
  /// The same, of this type; null for another.
  template <class M>
  const M* as(const std::string& name) const {
    return dynamic_cast<const M*>(&module(name));
  }
  /// f32, on the CPU.
  Tensor tensor(const std::string& name) const;
  Graph& graph() { return graph_; }

  /// A Conv2d of pictures, and its batch normalisation, where `norm` names one.
  std::string conv_of_pictures(const std::string& x, const std::string& conv, const std::string& norm = "");
  /// A Conv2d of each frame of clips, of every `frame_stride`-th.
  std::string conv_of_frames(const std::string& x, const std::string& conv, const std::string& norm,
                             std::int64_t frame_stride = 1);
  /// A Conv1d over the time of clips.
  std::string conv_over_time(const std::string& x, const std::string& conv, const std::string& norm);
  /// Of rows [N,in], as a Gemm.
  std::string linear_of_rows(const std::string& x, const std::string& name, const std::string& norm);
  /// Of sequences: weights and bias are tensors of these names.
  std::string linear_of_steps(const std::string& x, const std::string& weight, const std::string& bias);
  std::string layer_norm(const std::string& x, const std::string& name);
  std::string relu(const std::string& x, const std::string& scope) { return graph_.add(scope, "Relu", {x}); }
  std::string gelu(const std::string& x, const std::string& scope);

  /// Which steps of sequences `x` are their own, boolean [N,T]; empty where there are no `lengths`.
  std::string own_steps(const std::string& x, const std::string& lengths);
  /// [N,T,C] -> [N,C].
  std::string mean_over_time(const std::string& x, const std::string& own, const std::string& lengths);
  std::string max_over_time(const std::string& x, const std::string& own, const std::string& lengths);
  /// T of sequences, a scalar.
  std::string steps_of(const std::string& x, const std::string& scope);
  /// x's dimension `axis` taken away or, of size 1, put in.
  std::string without_axis(const std::string& x, const std::string& scope, std::int64_t axis);
  std::string with_axis(const std::string& x, const std::string& scope, std::int64_t axis);
  std::string transposed(const std::string& x, const std::string& scope, const std::vector<std::int64_t>& order);
  std::string reshaped(const std::string& x, const std::string& scope, const std::vector<std::int64_t>& shape);

 private:
  /// A layer's weights [out,...] and bias, undefined where there is none, and what its batch normalisation does to
  /// them.
  struct Weights {
    Tensor weight, bias;
  };
  Weights weights_of(const std::string& layer, const std::string& norm) const;
  /// The batch normalisation of a layer, unless it is folded into it.
  std::string normalised(const std::string& x, const std::string& norm);
  std::string conv(const std::string& x, const std::string& name, const std::string& norm, const Tensor& weight,
                   const Tensor& bias, const std::vector<std::int64_t>& strides,
                   const std::vector<std::int64_t>& padding);

  Graph& graph_;
  bool fold_;
  std::map<std::string, const Module*> modules_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace simclr::nn::onnx
