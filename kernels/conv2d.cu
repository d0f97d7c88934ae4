// Convolution by cuDNN, channels last as the tensors lie. A plan is made once for given sizes and kept; its workspace
// is a tensor like any other, so that a captured graph owns it. cuDNN writes dw in the dtype of x: in bf16 it goes
// through a scratch tensor (one rounding). Three channels are padded by cuDNN itself, in its workspace.
// x [N,H,W,C], w [O,K,L,C], y [N,P,Q,O]; the maths is in conv2d.h, backward needs x and w, and launches are cuDNN's.
// Tests: tests/device/test_conv2d.cpp compares with the CPU in f64; tests/support/conv2d_cases.h has the plain loops
// (reference).
#include <simclr/kernels/cuda/convolution_plan.h>
#include <simclr/kernels/cuda/runtime.h>

#include <map>
#include <mutex>
#include <tuple>

namespace simclr::kernels {
namespace {

/// Plans by device, sizes, direction and dtype. Never destroyed: the driver may be gone before static objects are.
class Plans {
 public:
  /// Queues one convolution: x, w, y or their gradients.
  void run(Conv2dDirection direction, const Tensor& x, const Tensor& w, const Tensor& y,
           const Conv2dGeometry& geometry) {
    const Device device = x.device();
    const Conv2dSizes sizes(x.shape(), w.shape(), geometry);
    const std::lock_guard lock(mutex_);
    const auto handle = cuda::cudnn(device);
    const cuda::ConvolutionPlan& plan = find(sizes, direction, x.dtype(), device, handle);
    Tensor workspace;
    if (plan.workspace_bytes() > 0) workspace = Tensor::empty({plan.workspace_bytes()}, DType::u8, device);
    plan.run(handle, x.raw_data(), w.raw_data(), y.raw_data(), workspace ? workspace.raw_data() : nullptr);
  }

 private:
  const cuda::ConvolutionPlan& find(const Conv2dSizes& sizes, Conv2dDirection direction, DType dtype, Device device,
                                    cudnnHandle_t handle) {
    const auto key = std::make_tuple(device.index, sizes, direction, dtype);
    if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
    constexpr std::size_t most = 1024;  // many networks; a program with ever new sizes starts over
    if (plans_.size() >= most) plans_.clear();
    return plans_.try_emplace(key, sizes, direction, dtype, cuda::PlanTarget{.handle = handle}).first->second;
  }

  std::mutex mutex_;
  std::map<std::tuple<int, Conv2dSizes, Conv2dDirection, DType>, cuda::ConvolutionPlan> plans_;
};

Plans& plans() {
  static auto* const instance = new Plans;
  return *instance;
}

/// Plans are made for addresses that are multiples of 16: rows of a larger tensor need not start there.
bool aligned(const Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.raw_data()) % 16 == 0;
}

Tensor aligned_copy(const Tensor& tensor) {
  return aligned(tensor) ? tensor : tensor.clone();
}

/// Calls body(out) with `out`, or with scratch of that dtype which then replaces its values.
template <class Body>
void into(Tensor& out, DType dtype, Body&& body) {
  if (out.dtype() == dtype && aligned(out)) return body(out);
  const Tensor scratch = Tensor::empty(out.shape(), dtype, out.device());
  body(scratch);
  out.copy_from(scratch);
}

void forward_gpu(const Tensor& x, const Tensor& w, Tensor& y, const Conv2dGeometry& geometry) {
  into(y, x.dtype(), [&](const Tensor& out) {
    plans().run(Conv2dDirection::forward, aligned_copy(x), aligned_copy(w), out, geometry);
  });
}

void backward_data_gpu(const Tensor& dy, const Tensor& w, Tensor& dx, const Conv2dGeometry& geometry) {
  into(dx, dy.dtype(), [&](const Tensor& out) {
    plans().run(Conv2dDirection::backward_data, out, aligned_copy(w), aligned_copy(dy), geometry);
  });
}

void backward_weights_gpu(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dGeometry& geometry) {
  into(dw, x.dtype(), [&](const Tensor& out) {
    plans().run(Conv2dDirection::backward_weights, aligned_copy(x), out, aligned_copy(dy), geometry);
  });
}

}  // namespace

extern const Conv2dKernels conv2d_cuda;
const Conv2dKernels conv2d_cuda = {forward_gpu, backward_data_gpu, backward_weights_gpu};

}  // namespace simclr::kernels
