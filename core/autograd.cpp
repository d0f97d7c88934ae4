#include <simclr/core/autograd.h>
#include <simclr/core/primitives.h>
#include <simclr/core/tensor_impl.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace simclr {

using detail::Edge;
using detail::Node;
using detail::TensorImpl;

namespace {

thread_local bool recording = true;
thread_local RecordObserver* observer = nullptr;
thread_local const CompleteGradients::See* see_complete = nullptr;

/// Which leaves a backward pass still has something for.
class LeavesLeft {
 public:
  explicit LeavesLeft(const std::vector<std::shared_ptr<Node>>& order) : see_(std::exchange(see_complete, nullptr)) {
    if (see_ == nullptr) return;  // nobody asks, or an outer pass counts
    for (const auto& node : order) {
      for (const Edge& edge : node->edges) {
        if (edge.leaf.defined()) ++uses_[edge.leaf.impl().get()];
      }
    }
  }
  ~LeavesLeft() { see_complete = see_; }
  LeavesLeft(const LeavesLeft&) = delete;
  LeavesLeft& operator=(const LeavesLeft&) = delete;

  /// Before a node runs, which lets go of them.
  std::vector<Tensor> of(const Node& node) const {
    std::vector<Tensor> leaves;
    if (see_ == nullptr) return leaves;
    for (const Edge& edge : node.edges) {
      if (edge.leaf.defined()) leaves.push_back(edge.leaf);
    }
    return leaves;
  }
  void used(const std::vector<Tensor>& leaves) {
    for (const Tensor& leaf : leaves) {
      if (--uses_[leaf.impl().get()] == 0) (*see_)(leaf);
    }
  }

 private:
  const CompleteGradients::See* see_;
  std::unordered_map<const TensorImpl*, int> uses_;
};

/// Whether no other tensor sees what is written to this one.
bool is_alone(const Tensor& tensor) {
  const auto& impl = tensor.impl();
  return impl.use_count() == 1 && impl->storage.use_count() == 1 && impl->storage->owns_memory();
}

Tensor sum(const Tensor& a, const Tensor& b, Tensor y) {
  primitives_slot.on(a.device()).add(a, b, y);
  return y;
}

Edge edge_to(const Tensor& input) {
  Edge edge;
  if (!input.defined()) return edge;
  const TensorImpl& impl = *input.impl();
  edge.shape = impl.shape;
  edge.dtype = impl.dtype;
  edge.device = input.device();
  if (impl.node) {
    edge.node = impl.node;
    edge.output = impl.node_output;
  } else if (impl.requires_grad) {
    edge.leaf = input;
  }
  return edge;
}

void run_hooks(const std::shared_ptr<TensorImpl>& impl) {
  Tensor handle(impl);
  for (const auto& hook : impl->grad_hooks) hook(handle);
}

/// Nodes that `root` depends on, each after all nodes that use its outputs. Iterative: a graph may be
/// deeper than the stack.
std::vector<std::shared_ptr<Node>> reverse_order(const std::shared_ptr<Node>& root) {
  std::vector<std::shared_ptr<Node>> finished;
  std::unordered_set<const Node*> seen{root.get()};
  std::vector<std::pair<std::shared_ptr<Node>, std::size_t>> path{{root, 0}};
  while (!path.empty()) {
    auto& [node, next] = path.back();
    if (next == node->edges.size()) {
      finished.push_back(node);
      path.pop_back();
      continue;
    }
    const auto& target = node->edges[next++].node;
    if (target && seen.insert(target.get()).second) path.emplace_back(target, 0);
  }
  return {finished.rbegin(), finished.rend()};
}

}  // namespace

// Graph nodes.

Node::~Node() {
  release();
}

/// Lets go of what the node holds. Chains of nodes are taken apart in a loop, since each would otherwise
/// destroy the next one recursively.
void Node::release() {
  backward = nullptr;
  saved.clear();
  std::vector<std::shared_ptr<Node>> orphans;
  const auto take_edges = [&orphans](Node& node) {
    for (Edge& edge : node.edges) {
      if (edge.node && edge.node.use_count() == 1) orphans.push_back(std::move(edge.node));
    }
    node.edges.clear();
  };
  take_edges(*this);
  while (!orphans.empty()) {
    const std::shared_ptr<Node> node = std::move(orphans.back());
    orphans.pop_back();
    node->backward = nullptr;
    take_edges(*node);
  }
}

void Node::accumulate(int output, const Tensor& gradient) {
  Tensor& total = gradients[static_cast<std::size_t>(output)];
  // The first gradient may be shared with another branch.
  total = !total.defined() ? gradient : sum(total, gradient, is_alone(total) ? total : Tensor::empty_like(gradient));
}

void Node::run() {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto output = outputs[i].lock();
    if (!output || !gradients[i].defined() || (!output->retains_grad && output->grad_hooks.empty())) continue;
    output->grad = gradients[i].detach();
    run_hooks(output);
    if (!output->retains_grad) output->grad = {};
  }
  for (const Saved& tensor : saved) {
    SIMCLR_CHECK(
        tensor.value.impl()->storage->version() == tensor.version, name, ": ", describe(tensor.value),
        ", which its backward pass reads, was changed after the forward pass; call backward() before that, or ",
        "change a clone()");
  }
  Backward context(*this);
  backward(context);
  used = true;
  gradients.clear();
  release();
}

void detail::accumulate_leaf(TensorImpl& leaf, const Tensor& gradient) {
  if (!leaf.grad.defined()) {
    leaf.grad = gradient.clone();  // the gradient may be shared with another branch
  } else if (leaf.grad.raw_data() != gradient.raw_data()) {
    if (leaf.grad_is_zero) {
      leaf.grad.copy_from(gradient);
    } else {
      sum(leaf.grad, gradient, leaf.grad);
    }
  }
  leaf.grad_is_zero = false;
}

// What a recorded function sees.

const Tensor& Backward::dy(int i) const {
  return node_->gradients.at(static_cast<std::size_t>(i));
}

Tensor Backward::over_dy(int i) {
  const Tensor& gradient = dy(i);
  return is_alone(gradient) ? gradient : Tensor::empty_like(gradient);
}

bool Backward::needs(int i) const {
  return node_->edges.at(static_cast<std::size_t>(i)).needed();
}

Tensor Backward::buffer(int i) {
  const Edge& edge = node_->edges.at(static_cast<std::size_t>(i));
  if (edge.leaf.defined()) {
    const TensorImpl& leaf = *edge.leaf.impl();
    const auto is_same = [&leaf](const Edge& other) { return other.leaf.impl().get() == &leaf; };
    // A leaf that is several inputs gets a sum, whose parts must not be written over each other.
    const bool once = std::count_if(node_->edges.begin(), node_->edges.end(), is_same) == 1;
    if (once && leaf.grad.defined() && leaf.grad_is_zero) return leaf.grad;
  }
  return Tensor::empty(edge.shape, edge.dtype, edge.device);
}

void Backward::set(int i, const Tensor& dx) {
  const Edge& edge = node_->edges.at(static_cast<std::size_t>(i));
  if (!edge.needed() || !dx.defined()) return;
  SIMCLR_CHECK(dx.shape() == edge.shape && dx.dtype() == edge.dtype, node_->name, ": the gradient of input ", i, " is ",
               describe(dx), ", the input is ", edge.dtype, " ", edge.shape);
  if (edge.node) {
    edge.node->accumulate(edge.output, dx);
    return;
  }
  reach_leaf(edge.leaf, dx);
}

void Backward::reach_leaf(Tensor leaf, const Tensor& gradient) {
  detail::accumulate_leaf(*leaf.impl(), gradient);
  run_hooks(leaf.impl());
}

// Recording.

void record(const char* name, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
            const std::vector<Tensor>& saved, BackwardFunction backward) {
  if (!recording) return;
  auto node = std::make_shared<Node>();
  bool needed = false;
  for (const Tensor& input : inputs) {
    node->edges.push_back(edge_to(input));
    needed = needed || node->edges.back().needed();
  }
  if (!needed) return;
  node->name = name;
  node->backward = std::move(backward);
  node->gradients.resize(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    TensorImpl& output = *outputs[i].impl();
    SIMCLR_CHECK(!output.node && !output.requires_grad, name, ": output ", i, " already belongs to the graph");
    output.node = node;
    output.node_output = static_cast<int>(i);
    output.requires_grad = true;
    node->outputs.push_back(outputs[i].impl());
  }
  if (observer != nullptr) {
    for (Tensor& output : outputs) observer->tell(name, output);
  }
  for (const Tensor& tensor : saved) {  // as the observers left them
    if (tensor.defined()) node->saved.push_back({tensor.detach(), tensor.impl()->storage->version()});
  }
}

Tensor record(const char* name, const std::vector<Tensor>& inputs, Tensor output, const std::vector<Tensor>& saved,
              BackwardFunction backward) {
  std::vector<Tensor> outputs{std::move(output)};
  record(name, inputs, outputs, saved, std::move(backward));
  return outputs[0];
}

bool grad_enabled() {
  return recording;
}

GradMode::GradMode(bool record) : previous_(std::exchange(recording, record)) {}
GradMode::~GradMode() {
  recording = previous_;
}

RecordObserver::RecordObserver(See see) : see_(std::move(see)), previous_(observer) {
  observer = this;
}
RecordObserver::~RecordObserver() {
  observer = previous_;
}

void RecordObserver::tell(const char* name, Tensor& output) const {
  if (previous_ != nullptr) previous_->tell(name, output);
  see_(name, output);
}

CompleteGradients::CompleteGradients(See see) : see_(std::move(see)) {
  SIMCLR_CHECK(see_complete == nullptr, "CompleteGradients: another lives on this thread; one at a time");
  see_complete = &see_;
}
CompleteGradients::~CompleteGradients() {
  see_complete = nullptr;
}

// Tensor's side of it.

bool Tensor::requires_grad() const {
  return impl_ && impl_->requires_grad;
}

Tensor& Tensor::set_requires_grad(bool requires_grad) {
  SIMCLR_CHECK(is_floating(dtype()), "requires_grad: ", describe(*this), " is not of a floating dtype");
  SIMCLR_CHECK(!impl_->node, "requires_grad: this tensor was computed; detach() it first");
  impl_->requires_grad = requires_grad;
  return *this;
}

const Tensor& Tensor::grad() const {
  static const Tensor none;
  return impl_ ? impl_->grad : none;
}

void Tensor::zero_grad() {
  if (!grad().defined()) return;
  impl_->grad.fill(0.0);
  impl_->grad_is_zero = true;
}

void Tensor::retain_grad() {
  SIMCLR_CHECK(requires_grad(), "retain_grad: ", describe(*this), " takes no part in a gradient");
  impl_->retains_grad = true;
}

void Tensor::add_grad_hook(std::function<void(Tensor&)> hook) {
  SIMCLR_CHECK(defined(), "add_grad_hook: an undefined tensor");
  impl_->grad_hooks.push_back(std::move(hook));
}

void Tensor::backward() const {
  SIMCLR_CHECK(defined() && numel() == 1, "backward: needs a scalar, or a gradient to start from; this is ",
               describe(*this));
  backward(full(shape(), 1.0, dtype(), device()));
}

void Tensor::backward(const Tensor& gradient) const {
  SIMCLR_CHECK(requires_grad(), "backward: ", describe(*this), " does not depend on anything that requires a gradient");
  SIMCLR_CHECK(gradient.shape() == shape() && gradient.dtype() == dtype(), "backward: the gradient is ",
               describe(gradient), " for ", describe(*this));
  if (!impl_->node) {
    Backward::reach_leaf(*this, gradient);
    if (see_complete != nullptr) (*see_complete)(*this);
    return;
  }
  SIMCLR_CHECK(!impl_->node->used, "backward: this graph was already used and freed; run the forward pass again");
  const NoGrad no_grad;
  auto order = reverse_order(impl_->node);
  for (const auto& node : order) {
    SIMCLR_CHECK(!node->used, "backward: a part of this graph (", node->name, ") was already used and freed");
    node->gradients.assign(node->outputs.size(), {});
  }
  impl_->node->accumulate(impl_->node_output, gradient);
  LeavesLeft left(order);
  for (auto& node : order) {
    const std::vector<Tensor> leaves = left.of(*node);
    bool reached = false;
    for (const auto& g : node->gradients) reached = reached || g.defined();
    if (reached) node->run();
    node.reset();  // frees what only this pass still held
    left.used(leaves);
  }
}

}  // namespace simclr
