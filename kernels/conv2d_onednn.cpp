// Convolution by oneDNN. Activations stay channels-last; oneDNN picks the weights' layout itself, and they are
// reordered on each call (its code for plain weights is the slow reference). What oneDNN has to prepare for given
// sizes and threads is a Plan, made once and kept.
#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/kernels/conv2d_cpu.h>

#include <omp.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <unordered_map>

namespace simclr::kernels::onednn {
namespace {

using dnnl::memory;

/// oneDNN takes its thread count from OpenMP's setting of the calling thread. That is 1 in a SerialScope; elsewhere
/// it need not be threads(), which another thread may have set.
class ThreadCount {
 public:
  ThreadCount()
      : previous_(omp_get_max_threads()), count_(previous_ == 1 || omp_in_parallel() ? 1 : simclr::threads()) {
    omp_set_num_threads(count_);
  }
  ~ThreadCount() { omp_set_num_threads(previous_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

  int count() const { return count_; }

 private:
  int previous_;
  int count_;
};

/// x, w and y, or their gradients, in the order of Conv2dKernels' arguments: two inputs, then the output.
struct Role {
  int argument;  // oneDNN's
  bool is_weights;
};

std::array<Role, 3> roles(Conv2dDirection direction) {
  switch (direction) {
    case Conv2dDirection::forward: return {{{DNNL_ARG_SRC, false}, {DNNL_ARG_WEIGHTS, true}, {DNNL_ARG_DST, false}}};
    case Conv2dDirection::backward_data:
      return {{{DNNL_ARG_DIFF_DST, false}, {DNNL_ARG_WEIGHTS, true}, {DNNL_ARG_DIFF_SRC, false}}};
    case Conv2dDirection::backward_weights:
      return {{{DNNL_ARG_SRC, false}, {DNNL_ARG_DIFF_DST, false}, {DNNL_ARG_DIFF_WEIGHTS, true}}};
  }
  fail("conv2d: unknown direction");
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// The first implementation that oneDNN offers; empty when it has none.
dnnl::primitive_desc describe(const Conv2dSizes& s, Conv2dDirection direction, memory::format_tag activations,
                              const dnnl::engine& engine) {
  constexpr auto f32 = memory::data_type::f32;
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
  const memory::desc x({s.n, s.c, s.h, s.w}, f32, activations);
  const memory::desc w({s.o, s.c, s.k, s.l}, f32, memory::format_tag::any);
  const memory::desc y({s.n, s.o, s.p, s.q}, f32, activations);
  const memory::dims strides{s.stride, s.stride}, padding{s.padding, s.padding};
  const dnnl::primitive_attr attr = attributes();

  const dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, algorithm, x, w, y, strides, padding, padding}, attr, engine, true);
  if (direction == Conv2dDirection::forward || !forward) return forward;
  if (direction == Conv2dDirection::backward_data) {
    return dnnl::convolution_backward_data::primitive_desc({algorithm, x, w, y, strides, padding, padding}, attr,
                                                           engine, forward, true);
  }
  return dnnl::convolution_backward_weights::primitive_desc({algorithm, x, w, y, strides, padding, padding}, attr,
                                                            engine, forward, true);
}

/// oneDNN 2.6's strided 1x1 convolutions write behind their scratchpads where the input's channels are no multiple
/// of 16.
bool overruns(const Conv2dSizes& s) {
  return s.k == 1 && s.l == 1 && s.stride > 1 && s.c % 16 != 0;
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

/// A prepared convolution with its reorders.
class Plan {
 public:
  Plan(const Conv2dSizes& sizes, Conv2dDirection direction, const dnnl::engine& engine) {
    if (overruns(sizes)) return;
    for (const auto activations : {memory::format_tag::nhwc, memory::format_tag::any}) {
      dnnl::primitive_desc descriptor = describe(sizes, direction, activations, engine);
      if (!descriptor) continue;
      do {
        const std::string name = descriptor.impl_info_str();
        if (name.find("ref") != std::string::npos) continue;
        prepare(descriptor, direction, engine);
        name_ = name;
        return;
      } while (descriptor.next_impl());
    }
  }

  /// oneDNN's name of the implementation; empty where there is none to use.
  const std::string& name() const { return name_; }
  std::size_t workspace_bytes() const { return workspace_bytes_; }

  void run(const std::array<void*, 3>& data, std::byte* workspace, dnnl::stream& stream) {
    std::unordered_map<int, memory> arguments;
    for (std::size_t i = 0; i < 3; ++i) {
      Operand& operand = operands_[i];
      operand.outer.set_data_handle(data[i]);
      if (operand.reorder) {
        operand.inner.set_data_handle(workspace + operand.offset);
        if (i < 2) run_reorder(operand, operand.outer, operand.inner, workspace, stream);
      }
      arguments.emplace(operand.argument, operand.reorder ? operand.inner : operand.outer);
    }
    scratchpad_.set_data_handle(workspace);
    arguments.emplace(DNNL_ARG_SCRATCHPAD, scratchpad_);
    convolution_.execute(stream, arguments);
    Operand& output = operands_[2];
    if (output.reorder) run_reorder(output, output.inner, output.outer, workspace, stream);
    stream.wait();
  }

 private:
  struct Operand {
    int argument = 0;
    memory outer;             // as our tensors lie
    memory inner;             // as the convolution wants it, where that differs
    dnnl::primitive reorder;  // from outer to inner for an input, back for the output
    memory reorder_scratchpad;
    std::size_t offset = 0;  // of inner in the workspace
  };

  // The workspace: one scratchpad that the primitives use in turn, then the reordered operands.
  void prepare(const dnnl::primitive_desc& descriptor, Conv2dDirection direction, const dnnl::engine& engine) {
    convolution_ = dnnl::primitive(descriptor);
    scratchpad_ = memory(descriptor.scratchpad_desc(), engine, nullptr);
    workspace_bytes_ = aligned(descriptor.scratchpad_desc().get_size());
    const std::array<Role, 3> role = roles(direction);
    for (std::size_t i = 0; i < 3; ++i) {
      Operand& operand = operands_[i];
      operand.argument = role[i].argument;
      const memory::desc inner = descriptor.query_md(dnnl::query::exec_arg_md, operand.argument);
      const memory::desc outer(inner.dims(), memory::data_type::f32,
                               role[i].is_weights ? memory::format_tag::ohwi : memory::format_tag::nhwc);
      operand.outer = memory(outer, engine, nullptr);
      if (inner == outer) continue;
      operand.inner = memory(inner, engine, nullptr);
      const bool is_output = i == 2;
      const dnnl::reorder::primitive_desc reorder(engine, is_output ? inner : outer, engine, is_output ? outer : inner,
                                                  attributes());
      operand.reorder = dnnl::reorder(reorder);
      operand.reorder_scratchpad = memory(reorder.scratchpad_desc(), engine, nullptr);
      workspace_bytes_ = std::max(workspace_bytes_, aligned(reorder.scratchpad_desc().get_size()));
    }
    for (Operand& operand : operands_) {
      if (!operand.reorder) continue;
      operand.offset = workspace_bytes_;
      workspace_bytes_ += aligned(operand.inner.get_desc().get_size());
    }
  }

  static void run_reorder(Operand& operand, memory& from, memory& to, std::byte* workspace, dnnl::stream& stream) {
    operand.reorder_scratchpad.set_data_handle(workspace);
    operand.reorder.execute(
        stream, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, operand.reorder_scratchpad}});
  }

  std::string name_;
  dnnl::primitive convolution_;
  memory scratchpad_;
  std::array<Operand, 3> operands_;
  std::size_t workspace_bytes_ = 0;
};

/// Plans by sizes, direction and thread count, and the workspace that they share: one convolution runs at a time.
class Plans {
 public:
  bool run(const Conv2dSizes& sizes, Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out) {
    const std::lock_guard lock(mutex_);
    const ThreadCount threads;
    try {
      Plan& plan = find(sizes, direction, threads.count());
      if (plan.name().empty()) return false;
      const auto bytes = static_cast<std::int64_t>(plan.workspace_bytes());
      if (bytes > 0 && (!workspace_ || workspace_.numel() < bytes)) {
        workspace_ = {};  // given back before the larger one is asked for
        workspace_ = Tensor::empty({bytes}, DType::u8);
      }
      plan.run({a.raw_data(), b.raw_data(), out.raw_data()},
               workspace_ ? static_cast<std::byte*>(workspace_.raw_data()) : nullptr, stream_);
    } catch (const dnnl::error& error) {
      fail("conv2d: oneDNN failed (", error.what(), ") for ", simclr::describe(a), " and ", simclr::describe(b));
    }
    return true;
  }

  std::string implementation(const Conv2dSizes& sizes, Conv2dDirection direction) {
    const std::lock_guard lock(mutex_);
    const ThreadCount threads;
    return find(sizes, direction, threads.count()).name();
  }

 private:
  Plan& find(const Conv2dSizes& sizes, Conv2dDirection direction, int threads) {
    const auto key = std::make_tuple(sizes, direction, threads);
    if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
    constexpr std::size_t most = 256;  // several networks; a program with ever new sizes starts over
    if (plans_.size() >= most) plans_.clear();
    return plans_.emplace(key, Plan(sizes, direction, engine_)).first->second;
  }

  std::mutex mutex_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::map<std::tuple<Conv2dSizes, Conv2dDirection, int>, Plan> plans_;
  Tensor workspace_;
};

Plans& plans() {
  static Plans instance;
  return instance;
}

}  // namespace

bool run(Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out, const Conv2dSizes& sizes) {
  return plans().run(sizes, direction, a, b, out);
}

std::string implementation(const Conv2dSizes& sizes, Conv2dDirection direction) {
  return plans().implementation(sizes, direction);
}

}  // namespace simclr::kernels::onednn
