#pragma once

// A convolution as cuDNN plans it (docs/decisions/cudnn-api.md). Planning needs no device, only a description of one:
// so that it can be tested anywhere.

#include <simclr/core/error.h>
#include <simclr/kernels/shared/conv2d_sizes.h>

#include <cudnn.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace simclr::cuda {

inline void check_plan(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char detail[512] = "";
  cudnnGetLastErrorString(detail, sizeof detail);
  fail("conv2d: ", what, ": ", cudnnGetErrorString(status), " (", detail, ")");
}

/// One of cuDNN's descriptors, owned. Attributes are set, then it is finalised, then they may be read.
class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type) {
    check_plan(cudnnBackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
  }
  ~CudnnDescriptor() {
    if (descriptor_ != nullptr) cudnnBackendDestroyDescriptor(descriptor_);
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  template <std::size_t N, class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::array<T, N>& values) {
    check_plan(cudnnBackendSetAttribute(descriptor_, name, type, N, values.data()), "cudnnBackendSetAttribute");
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set(name, type, std::array<T, 1>{value});
  }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, value.descriptor_);
  }

  cudnnStatus_t try_finalize() { return cudnnBackendFinalize(descriptor_); }
  void finalize(const char* what) { check_plan(try_finalize(), what); }

  std::int64_t get_int64(cudnnBackendAttributeName_t name) const {
    std::int64_t value = 0, count = 0;
    check_plan(cudnnBackendGetAttribute(descriptor_, name, CUDNN_TYPE_INT64, 1, &count, &value),
               "cudnnBackendGetAttribute");
    return value;
  }
  template <class T, std::size_t N>
  std::vector<T> get_list(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
    std::vector<T> values(N);
    std::int64_t count = 0;
    check_plan(cudnnBackendGetAttribute(descriptor_, name, type, N, &count, values.data()), "cudnnBackendGetAttribute");
    values.resize(static_cast<std::size_t>(count));
    return values;
  }
  /// Reads a descriptor into `value`, which is of the right type.
  void get(cudnnBackendAttributeName_t name, CudnnDescriptor& value) const {
    std::int64_t count = 0;
    check_plan(
        cudnnBackendGetAttribute(descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &value.descriptor_),
        "cudnnBackendGetAttribute");
  }

  cudnnBackendDescriptor_t raw() const { return descriptor_; }

 private:
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// What a plan is for: the device of a handle; or, in tests, a device that is only described (cuDNN 9.8 and later).
struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  const CudnnDescriptor* description = nullptr;
};

/// One direction of one convolution, [N,H,W,C] with weights [O,K,L,C], as conv2d.h defines it. Operands are of one
/// dtype, f32 or bf16, start at 16 bytes, and sums are taken in f32. Throws Error where cuDNN has no plan that does
/// what is asked.
class ConvolutionPlan {
 public:
  ConvolutionPlan(const kernels::Conv2dSizes& sizes, kernels::Conv2dDirection direction, DType dtype,
                  const PlanTarget& target)
      : plan_(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    const CudnnDescriptor graph = describe(sizes, direction, dtype, target);
    const std::int64_t limit = workspace_limit(sizes, dtype);
    const auto first_of = [&](const std::vector<CudnnDescriptor>& configs, bool on_tensor_cores) {
      return std::ranges::any_of(configs, [&](const CudnnDescriptor& config) {
        return accepts(config, dtype, on_tensor_cores) && prepare(config, target) && workspace_bytes_ <= limit;
      });
    };
    const std::vector<CudnnDescriptor> proposed = propose(graph, CUDNN_HEUR_MODE_A, target);
    // The heuristic puts CUDA cores first for some bf16 convolutions of 1 x 1, with a transposition of all of x.
    if (dtype == DType::bf16 && first_of(proposed, true)) return;
    if (first_of(proposed, false)) return;
    if (first_of(propose(graph, CUDNN_HEUR_MODE_FALLBACK, target), false)) return;
    fail("conv2d: cuDNN has no deterministic plan for x ", Shape{sizes.n, sizes.h, sizes.w, sizes.c}, ", w ",
         Shape{sizes.o, sizes.k, sizes.l, sizes.c}, " in ", dtype, ", stride ", sizes.stride, ", padding ",
         sizes.padding, "; try a smaller batch");
  }

  /// cuDNN's number of the code that computes it.
  std::int64_t engine() const { return engine_; }
  std::int64_t workspace_bytes() const { return workspace_bytes_; }
  bool uses_tensor_cores() const { return tensor_cores_; }

  /// What the plan runs on: x, w and y or their gradients, and workspace_bytes() of workspace.
  CudnnDescriptor operands(void* x, void* w, void* y, void* workspace) const {
    CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::array<std::int64_t, 3>{id_x, id_w, id_y});
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::array<void*, 3>{x, w, y});
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
    pack.finalize("operands");
    return pack;
  }

  void run(cudnnHandle_t handle, void* x, void* w, void* y, void* workspace) const {
    const CudnnDescriptor pack = operands(x, w, y, workspace);
    check_plan(cudnnBackendExecute(handle, plan_.raw(), pack.raw()), "cudnnBackendExecute");
  }

  /// A quarter of a GiB, or room for a copy of every operand: f32 without TF32 wants them channels first.
  static std::int64_t workspace_limit(const kernels::Conv2dSizes& s, DType dtype) {
    const std::int64_t elements = s.n * s.h * s.w * s.c + s.o * s.k * s.l * s.c + s.n * s.p * s.q * s.o;
    return std::max(std::int64_t{1} << 28, elements * size_of(dtype) * 5 / 4);
  }

 private:
  static constexpr std::int64_t id_x = 'x', id_w = 'w', id_y = 'y';

  /// cuDNN counts dimensions as [N,C,H,W]; strides say that channels come last.
  static CudnnDescriptor tensor(std::int64_t id, DType dtype, std::int64_t n, std::int64_t h, std::int64_t w,
                                std::int64_t c) {
    CudnnDescriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id);
    tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE,
               dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT);
    tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, std::array<std::int64_t, 4>{n, c, h, w});
    tensor.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, std::array<std::int64_t, 4>{h * w * c, 1, w * c, c});
    tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::int64_t{16});
    tensor.finalize("tensor");
    return tensor;
  }

  /// How cuDNN calls the attributes of one direction.
  struct Names {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
  };

  static const Names& names(kernels::Conv2dDirection direction) {
    static constexpr Names all[] = {
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
    };
    return all[static_cast<int>(direction)];
  }

  static CudnnDescriptor describe(const kernels::Conv2dSizes& s, kernels::Conv2dDirection direction, DType dtype,
                                  const PlanTarget& target) {
    CudnnDescriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    using Pair = std::array<std::int64_t, 2>;
    convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
    convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
    convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::int64_t{2});
    convolution.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, Pair{1, 1});
    convolution.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, Pair{s.stride.height, s.stride.width});
    convolution.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, Pair{s.padding.height, s.padding.width});
    convolution.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, Pair{s.padding.height, s.padding.width});
    convolution.finalize("convolution");

    const Names& name = names(direction);
    CudnnDescriptor operation(name.operation);
    operation.set(name.convolution, convolution);
    operation.set(name.x, tensor(id_x, dtype, s.n, s.h, s.w, s.c));
    operation.set(name.w, tensor(id_w, dtype, s.o, s.k, s.l, s.c));
    operation.set(name.y, tensor(id_y, dtype, s.n, s.p, s.q, s.o));
    operation.set(name.alpha, CUDNN_TYPE_FLOAT, 1.0f);
    operation.set(name.beta, CUDNN_TYPE_FLOAT, 0.0f);
    operation.finalize("operation");

    CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
    if (target.handle != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, target.handle);
    graph.finalize("graph");
    return graph;
  }

  /// What cuDNN's heuristic proposes, the fastest first: a function of sizes and device, so every run has the same.
  static std::vector<CudnnDescriptor> propose(const CudnnDescriptor& graph, cudnnBackendHeurMode_t mode,
                                              [[maybe_unused]] const PlanTarget& target) {
    CudnnDescriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
#if CUDNN_VERSION >= 90800
    if (target.description != nullptr) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.description);
#endif
    if (heuristic.try_finalize() != CUDNN_STATUS_SUCCESS) return {};  // none for these sizes
    std::int64_t count = 0;
    check_plan(cudnnBackendGetAttribute(heuristic.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                        0, &count, nullptr),
               "heuristic");
    std::vector<CudnnDescriptor> configs;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (std::int64_t i = 0; i < count; ++i) {
      raw.push_back(configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).raw());
    }
    check_plan(cudnnBackendGetAttribute(heuristic.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                        count, &count, raw.data()),
               "heuristic");
    configs.erase(configs.begin() + count, configs.end());  // some of the first count do not fit after all
    return configs;
  }

  /// The same bits each time; sums in f32, of products of the operands themselves (in f32 tensor cores would round them
  /// to TF32, and Winograd's and Fourier's ways lose digits too); and nothing to compile at the first use.
  bool accepts(const CudnnDescriptor& config, DType dtype, bool on_tensor_cores) {
    CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    config.get(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    engine_ = engine.get_int64(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
    const auto numerical = engine.get_list<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT>(
        CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE);
    const auto behavior = engine.get_list<cudnnBackendBehaviorNote_t, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT>(
        CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE);
    const auto notes = [](const auto& list, auto note) { return std::ranges::find(list, note) != list.end(); };
    tensor_cores_ = notes(numerical, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    if (tensor_cores_ ? dtype != DType::bf16 : on_tensor_cores) return false;
    return std::ranges::all_of(numerical,
                               [](cudnnBackendNumericalNote_t note) {
                                 return note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
                                        note == CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP;
                               }) &&
           !notes(behavior, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION);
  }

  bool prepare(const CudnnDescriptor& config, const PlanTarget& target) {
    plan_ = CudnnDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan_.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    if (target.handle != nullptr) plan_.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, target.handle);
#if CUDNN_VERSION >= 90800
    if (target.description != nullptr) plan_.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.description);
#endif
    if (plan_.try_finalize() != CUDNN_STATUS_SUCCESS) return false;
    workspace_bytes_ = plan_.get_int64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
    return true;
  }

  CudnnDescriptor plan_;
  std::int64_t engine_ = -1, workspace_bytes_ = 0;
  bool tensor_cores_ = false;
};

}  // namespace simclr::cuda
