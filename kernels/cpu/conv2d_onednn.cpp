// Convolution by oneDNN, which works on one thread: a slice of the batch is a piece of the library's own loop, and the
// weights' gradient is the slices' in order. Activations stay channels-last; oneDNN picks the weights' layout itself,
// and they are reordered on each call (its code for plain weights is the slow reference). What oneDNN has to prepare
// for given sizes is a Plan, made once and kept.
#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/conv2d.h>

#include <omp.h>
#include <sys/mman.h>

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

/// While one lives, oneDNN works on this thread alone: threads are the library's own (core/parallel.h).
class OneThread {
 public:
  OneThread() : previous_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(previous_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int previous_;
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
  const memory::dims strides{s.stride.height, s.stride.width}, padding{s.padding.height, s.padding.width};
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
  return s.k == 1 && s.l == 1 && s.stride != 1 && s.c % 16 != 0;
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

/// oneDNN crashes where the system gives no memory for the code that it writes; this throws OutOfMemory before it.
void check_room() {
  constexpr std::size_t code_bytes = 16 << 20;  // far more than a primitive takes; none of it is touched
  void* room = mmap(nullptr, code_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) {
    fail<OutOfMemory>("out of memory on cpu: no room for oneDNN's code; lower the batch size or the model's width");
  }
  munmap(room, code_bytes);
}

/// A prepared convolution with its reorders. It is not changed by running, which several threads may do at once.
class Plan {
 public:
  Plan(const Conv2dSizes& sizes, Conv2dDirection direction, const dnnl::engine& engine) : engine_(engine) {
    if (overruns(sizes)) return;
    check_room();  // an implementation that lacks memory to describe itself would count as none
    for (const auto activations : {memory::format_tag::nhwc, memory::format_tag::any}) {
      dnnl::primitive_desc descriptor = describe(sizes, direction, activations, engine);
      if (!descriptor) continue;
      do {
        const std::string name = descriptor.impl_info_str();
        if (name.find("ref") != std::string::npos) continue;
        prepare(descriptor, direction);
        name_ = name;
        return;
      } while (descriptor.next_impl());
    }
  }

  /// oneDNN's name of the implementation; empty where there is none to use.
  const std::string& name() const { return name_; }
  std::int64_t workspace_bytes() const { return static_cast<std::int64_t>(workspace_bytes_); }

  /// The weights as run() wants them, once for all slices of a batch; `w` itself where they lie so already.
  Tensor ordered(const Tensor& w) const {
    for (const Operand& operand : operands_) {
      if (!operand.is_weights || !operand.reorder) continue;
      Tensor inner = Tensor::empty({static_cast<std::int64_t>(operand.inner.get_size())}, DType::u8);
      const Tensor workspace = Tensor::empty({workspace_bytes()}, DType::u8);
      dnnl::stream stream(engine_);
      run_reorder(operand, operand.outer, w.raw_data(), operand.inner, inner.raw_data(), workspace.raw_data(), stream);
      stream.wait();
      return inner;
    }
    return w;
  }

  /// Weights that are read are those of ordered().
  void run(const std::array<void*, 3>& data, void* workspace, dnnl::stream& stream) const {
    std::unordered_map<int, memory> arguments;
    std::array<void*, 3> inner = data;
    for (std::size_t i = 0; i < 3; ++i) {
      const Operand& operand = operands_[i];
      const bool is_output = i == 2;
      if (operand.reorder && (is_output || !operand.is_weights)) {
        inner[i] = static_cast<std::byte*>(workspace) + operand.offset;
        if (!is_output) run_reorder(operand, operand.outer, data[i], operand.inner, inner[i], workspace, stream);
      }
      arguments.emplace(operand.argument, memory(operand.inner, engine_, inner[i]));
    }
    arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(scratchpad_, engine_, workspace));
    convolution_.execute(stream, arguments);
    const Operand& output = operands_[2];
    if (output.reorder) run_reorder(output, output.inner, inner[2], output.outer, data[2], workspace, stream);
    stream.wait();
  }

 private:
  struct Operand {
    int argument = 0;
    bool is_weights = false;
    memory::desc outer;       // as our tensors lie
    memory::desc inner;       // as the convolution wants it
    dnnl::primitive reorder;  // where they differ: from outer to inner for an input, back for the output
    memory::desc reorder_scratchpad;
    std::size_t offset = 0;  // of inner in the workspace
  };

  // The workspace: one scratchpad that the primitives use in turn, then the reordered operands.
  void prepare(const dnnl::primitive_desc& descriptor, Conv2dDirection direction) {
    check_room();
    convolution_ = dnnl::primitive(descriptor);
    scratchpad_ = descriptor.scratchpad_desc();
    workspace_bytes_ = aligned(scratchpad_.get_size());
    const std::array<Role, 3> role = roles(direction);
    for (std::size_t i = 0; i < 3; ++i) {
      Operand& operand = operands_[i];
      operand.argument = role[i].argument;
      operand.is_weights = role[i].is_weights;
      operand.inner = descriptor.query_md(dnnl::query::exec_arg_md, operand.argument);
      operand.outer = memory::desc(operand.inner.dims(), memory::data_type::f32,
                                   operand.is_weights ? memory::format_tag::ohwi : memory::format_tag::nhwc);
      if (operand.inner == operand.outer) continue;
      const memory::desc &from = i == 2 ? operand.inner : operand.outer, &to = i == 2 ? operand.outer : operand.inner;
      check_room();
      const dnnl::reorder::primitive_desc reorder(engine_, from, engine_, to, attributes());
      operand.reorder = dnnl::reorder(reorder);
      operand.reorder_scratchpad = reorder.scratchpad_desc();
      workspace_bytes_ = std::max(workspace_bytes_, aligned(operand.reorder_scratchpad.get_size()));
    }
    for (Operand& operand : operands_) {
      if (!operand.reorder) continue;
      operand.offset = workspace_bytes_;
      workspace_bytes_ += aligned(operand.inner.get_size());
    }
  }

  void run_reorder(const Operand& operand, const memory::desc& from, void* from_data, const memory::desc& to,
                   void* to_data, void* workspace, dnnl::stream& stream) const {
    operand.reorder.execute(stream, {{DNNL_ARG_FROM, memory(from, engine_, from_data)},
                                     {DNNL_ARG_TO, memory(to, engine_, to_data)},
                                     {DNNL_ARG_SCRATCHPAD, memory(operand.reorder_scratchpad, engine_, workspace)}});
  }

  dnnl::engine engine_;
  std::string name_;
  dnnl::primitive convolution_;
  memory::desc scratchpad_;
  std::array<Operand, 3> operands_;
  std::size_t workspace_bytes_ = 0;
};

/// Pictures of a batch that one thread takes at a time, by the sizes alone; where it can be, a divisor of the batch.
std::int64_t slice_of(const Conv2dSizes& s, Conv2dDirection direction) {
  const std::int64_t positions = s.p * s.q, products = positions * s.o * s.k * s.l * s.c;
  // A call costs some microseconds beside the work.
  std::int64_t slices = (s.n + items_a_piece({.flop = products / 4}) - 1) / items_a_piece({.flop = products / 4});
  // Sums of weights are added up in the end, each for so many positions at least that this costs little.
  const bool sums = direction == Conv2dDirection::backward_weights;
  slices = std::clamp<std::int64_t>(slices, 1, sums ? std::clamp<std::int64_t>(s.n * positions / 512, 1, 16) : 64);
  for (std::int64_t more = slices; more < std::min(2 * slices, s.n); ++more) {
    if (s.n % more == 0) return s.n / more;
  }
  return (s.n + slices - 1) / slices;
}

/// Plans by sizes and direction.
class Plans {
 public:
  std::shared_ptr<const Plan> find(const Conv2dSizes& sizes, Conv2dDirection direction) {
    const std::lock_guard lock(mutex_);
    const auto key = std::make_tuple(sizes, direction);
    if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
    constexpr std::size_t most = 256;  // several networks; a program with ever new sizes starts over
    if (plans_.size() >= most) plans_.clear();
    const OneThread scope;
    return plans_.emplace(key, std::make_shared<const Plan>(sizes, direction, engine_)).first->second;
  }

  const dnnl::engine& engine() const { return engine_; }

 private:
  std::mutex mutex_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  std::map<std::tuple<Conv2dSizes, Conv2dDirection>, std::shared_ptr<const Plan>> plans_;
};

Plans& plans() {
  static Plans instance;
  return instance;
}

/// A convolution of a whole batch: slices of it on the library's threads.
struct Batch {
  Batch(const Conv2dSizes& whole, Conv2dDirection which)
      : sizes(whole), direction(which), slice(slice_of(whole, which)) {
    plan = plan_of(slice);
    const std::int64_t over = sizes.n % slice;
    last = over == 0 ? plan : plan_of(over);
  }

  std::shared_ptr<const Plan> plan_of(std::int64_t pictures) const {
    Conv2dSizes part = sizes;
    part.n = pictures;
    return plans().find(part, direction);
  }

  bool served() const { return !plan->name().empty() && !last->name().empty(); }

  /// The slice of an operand that begins with picture `first`; all of the weights.
  void* at(const Tensor& tensor, std::size_t operand, std::int64_t first) const {
    if (roles(direction)[operand].is_weights) return tensor.raw_data();
    return static_cast<std::byte*>(tensor.raw_data()) +
           tensor.bytes() / static_cast<std::size_t>(sizes.n) * static_cast<std::size_t>(first);
  }

  void run(const Tensor& a, const Tensor& b, Tensor& out) const {
    const bool sums = direction == Conv2dDirection::backward_weights;
    const std::int64_t slices = (sizes.n + slice - 1) / slice, size = out.numel();
    const Tensor ordered = sums ? b : reordered(*plan, b),
                 ordered_last = sums || last == plan ? ordered : reordered(*last, b);
    const Tensor parts = sums && slices > 1 ? Tensor::empty({slices, size}) : out;
    struct Own {
      Tensor workspace;
      dnnl::stream stream;
    };
    PerThread<Own> own;
    parallel_for(sizes.n, slice, [&](std::int64_t first, std::int64_t end, int thread) {
      const OneThread scope;
      auto& [workspace, stream] = own.get(thread, [&] {
        return Own{Tensor::empty({std::max(plan->workspace_bytes(), last->workspace_bytes())}, DType::u8),
                   dnnl::stream(plans().engine())};
      });
      const bool whole = end - first == slice;
      void* to = sums && slices > 1 ? parts.data<float>() + first / slice * size : at(out, 2, first);
      (whole ? *plan : *last)
          .run({at(a, 0, first), at(whole ? ordered : ordered_last, 1, first), to}, workspace.raw_data(), stream);
    });
    if (!sums || slices == 1) return;
    const float* from = parts.data<const float>();
    float* dw = out.data<float>();
    parallel_for(size, items_a_piece({.bytes = 4 * (slices + 1)}), [=](std::int64_t begin, std::int64_t end) {
      std::copy(from + begin, from + end, dw + begin);
      for (std::int64_t i = 1; i < slices; ++i) {
        for (std::int64_t e = begin; e < end; ++e) dw[e] += from[i * size + e];
      }
    });
  }

  static Tensor reordered(const Plan& plan, const Tensor& w) {
    const OneThread scope;
    return plan.ordered(w);
  }

  Conv2dSizes sizes;
  Conv2dDirection direction;
  std::int64_t slice;
  std::shared_ptr<const Plan> plan, last;  // of a slice, and of what is left over
};

}  // namespace

bool run(Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out, const Conv2dSizes& sizes) {
  try {
    const Batch batch(sizes, direction);
    if (!batch.served()) return false;
    batch.run(a, b, out);
    return true;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) {
      fail<OutOfMemory>("out of memory on cpu: oneDNN has no room for a convolution of ", simclr::describe(a), " and ",
                        simclr::describe(b), "; lower the batch size or the model's width");
    }
    fail("conv2d: oneDNN failed (", error.what(), ") for ", simclr::describe(a), " and ", simclr::describe(b));
  }
}

std::string implementation(const Conv2dSizes& sizes, Conv2dDirection direction) {
  const Batch batch(sizes, direction);
  return batch.served() ? batch.plan->name() : "";
}

}  // namespace simclr::kernels::onednn
