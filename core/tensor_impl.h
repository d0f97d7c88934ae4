#pragma once

// Private to core: what a Tensor handle points to, and the graph's nodes.

#include <simclr/core/autograd.h>

#include <memory>
#include <string>
#include <vector>

namespace simclr::detail {

struct TensorImpl {
  std::shared_ptr<Storage> storage;
  std::size_t offset = 0;  // bytes into the storage
  Shape shape;
  DType dtype = DType::f32;

  bool requires_grad = false;
  Tensor grad;
  bool grad_is_zero = false;  // grad holds zeros, so the first gradient may overwrite it
  bool retains_grad = false;
  std::vector<std::function<void(Tensor&)>> grad_hooks;

  std::shared_ptr<Node> node;  // what computed this tensor; null for a leaf
  int node_output = 0;
};

/// Where an input's gradient goes: to another node's output, or to a leaf.
struct Edge {
  std::shared_ptr<Node> node;  // null for a leaf and for an input without gradient
  int output = 0;
  Tensor leaf;  // defined for a leaf that requires a gradient
  Shape shape;
  DType dtype = DType::f32;
  Device device;

  bool needed() const { return node != nullptr || leaf.defined(); }
};

/// What a function's backward pass reads, as it was when it was recorded.
struct Saved {
  Tensor value;
  std::uint64_t version;
};

/// One recorded function.
struct Node {
  std::string name;
  std::vector<Edge> edges;
  std::vector<std::weak_ptr<TensorImpl>> outputs;
  std::vector<Tensor> gradients;  // of the outputs, while backward() runs
  std::vector<Saved> saved;
  BackwardFunction backward;
  bool used = false;

  ~Node();
  void accumulate(int output, const Tensor& gradient);
  void run();
  void release();
};

void accumulate_leaf(TensorImpl& leaf, const Tensor& gradient);

}  // namespace simclr::detail
