// Gated recurrent units on a GPU. A step of all N sequences is a matrix product, W_h h, and one kernel:
//   r, z = s(p + b_i + q);  n = tanh(p_n + b_in + r q_n);  h' = n + z (h - n),   p = W_i x, q = W_h h + b_h
//   dp_n = dh' (1 - z)(1 - n n);  dp_r = dp_n q_n r (1 - r);  dp_z = dh' (h - n) z (1 - z);  dq = (dp_r, dp_z, r dp_n)
//   dh = dh' z + W_h^T dq
// p and dp [N,T,3H] lie as x does; states [T,N,H], gates [T,N,4H] and dq [T,N,3H] step by step, so that each step is a
// matrix. A sequence that has ended keeps its h; its further steps, at the times behind its length, give y = 0 and no
// gradient. h, dh and the gates are f32; products go in the dtype of x, their sums in f32. Backward needs gates and
// states.
// Launch: a thread for each value of h, 128 a block, sequences along x; a kernel for each step and direction.
// Tests: tests/device/test_gru.cpp compares with the CPU in f64; tests/test_gru.cpp has the plain loops (reference).
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/gru.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int step_threads = 128;

/// What a step's kernel is told beside its tensors.
struct Step {
  const std::int32_t* lengths;  // null: all are `steps`
  std::int64_t sequences, steps, size, s;
  std::int64_t columns, column;  // of y and last, and this direction's first
  bool backwards;
};

/// What a thread works on: value k of sequence i.
struct Place {
  std::int64_t i, k, value;  // k below `size`, or there is nothing to do; of [N,H]
  std::int64_t length, t;    // -1: an impossible one; the time of the step
  bool own;                  // whether the sequence has not ended
};

__device__ Place place_of(const Step& step) {
  const std::int64_t i = blockIdx.x, k = static_cast<std::int64_t>(blockIdx.y) * step_threads + threadIdx.x;
  const std::int64_t length = length_of(step.lengths, i, step.steps);
  const bool own = step.s < length;
  return {i, k, i * step.size + k, length, own && step.backwards ? length - 1 - step.s : step.s, own};
}

__device__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}

template <class T>
struct ForwardStep {
  const T* products;    // [N,T,3H]
  const float* hidden;  // [N,3H]: W_h h
  const float *b_ih, *b_hh;
  float* carry;  // [N,H]
  float* gates;  // [N,4H]
  T* next;       // [N,H]: the state before the next step; null behind the last
  T *y, *last;
};

template <class T>
__global__ void __launch_bounds__(step_threads) gru_forward_kernel(Step step, ForwardStep<T> at) {
  const Place p = place_of(step);
  if (p.k >= step.size) return;
  float h = p.length < 0 ? NAN : at.carry[p.value];
  // 1 the gates, and the new state
  if (p.own) {
    const T* product = at.products + (p.i * step.steps + p.t) * 3 * step.size;
    const float* hidden = at.hidden + p.i * 3 * step.size;
    float* gates = at.gates + p.i * 4 * step.size;
    float input[3], recurrent[3];
#pragma unroll
    for (int gate = 0; gate < 3; ++gate) {
      const std::int64_t k = gate * step.size + p.k;
      input[gate] = widen(product[k]) + at.b_ih[k];
      recurrent[gate] = hidden[k] + at.b_hh[k];
    }
    const float r = sigmoid(input[0] + recurrent[0]), z = sigmoid(input[1] + recurrent[1]);
    const float n = tanhf(input[2] + r * recurrent[2]);
    gates[p.k] = r;
    gates[step.size + p.k] = z;
    gates[2 * step.size + p.k] = n;
    gates[3 * step.size + p.k] = recurrent[2];
    h = n + z * (h - n);
  }
  // 2 where it goes; an impossible length shows in all of y
  at.carry[p.value] = h;
  if (at.next != nullptr) at.next[p.value] = narrow_to<T>(h);
  at.y[(p.i * step.steps + p.t) * step.columns + step.column + p.k] = narrow_to<T>(p.own || p.length < 0 ? h : 0.0f);
  if (at.next == nullptr) at.last[p.i * step.columns + step.column + p.k] = narrow_to<T>(h);
}

template <class T>
struct BackwardStep {
  const T *dy, *dlast;  // null: 0
  const float* gates;   // [N,4H]
  const T* states;      // [N,H]
  float* carry;         // [N,H]: dh
  T* dproducts;         // [N,T,3H]
  T* dhidden;           // [N,3H]
};

template <class T>
__global__ void __launch_bounds__(step_threads) gru_backward_kernel(Step step, BackwardStep<T> at) {
  const Place p = place_of(step);
  if (p.k >= step.size) return;
  // 1 dh', at the last step from `last` alone
  float dh = at.carry[p.value];
  if (step.s == step.steps - 1) {
    dh = at.dlast == nullptr ? 0.0f : widen(at.dlast[p.i * step.columns + step.column + p.k]);
  }
  float dp[3] = {}, through = 0;
  // 2 the gates' gradients
  if (p.own) {
    if (at.dy != nullptr) dh += widen(at.dy[(p.i * step.steps + p.t) * step.columns + step.column + p.k]);
    const float* gates = at.gates + p.i * 4 * step.size;
    const float r = gates[p.k], z = gates[step.size + p.k], n = gates[2 * step.size + p.k];
    const float q = gates[3 * step.size + p.k], h = widen(at.states[p.value]);
    dp[2] = dh * (1.0f - z) * (1.0f - n * n);
    dp[1] = dh * (h - n) * z * (1.0f - z);
    dp[0] = dp[2] * q * r * (1.0f - r);
    through = dp[2] * r;
    dh *= z;
  }
  if (p.length < 0) dp[0] = dp[1] = dp[2] = through = NAN;
  // 3 what the products take on, and what goes past them
  T* dproduct = at.dproducts + (p.i * step.steps + p.t) * 3 * step.size + p.k;
  T* dhidden = at.dhidden + p.i * 3 * step.size + p.k;
#pragma unroll
  for (int gate = 0; gate < 3; ++gate) {
    dproduct[gate * step.size] = narrow_to<T>(dp[gate]);
    dhidden[gate * step.size] = narrow_to<T>(gate == 2 ? through : dp[gate]);
  }
  at.carry[p.value] = dh;
}

// Launchers.

/// Of a direction's first step.
Step first_step(const GruDirection& d) {
  const std::int64_t size = d.w_hh.dim(1);
  return {lengths_or_null(d.lengths), d.sequences, d.steps, size, 0, size * d.count, size * d.index, d.index == 1};
}

LaunchShape launch_shape(const Step& step) {
  return {dim3(blocks_for(step.sequences, 1), blocks_for(step.size, step_threads)), step_threads};
}

/// Step s of a tensor [T,N,width] as a matrix.
Tensor matrix_of(const Tensor& steps, const Step& step) {
  return steps.narrow(step.s * step.sequences, step.sequences);
}

void forward_gpu(const GruDirection& direction, const Tensor& products, Tensor& states, Tensor& gates, Tensor& y,
                 Tensor& last) {
  const Device device = y.device();
  Step step = first_step(direction);
  const Tensor carry = Tensor::zeros({step.sequences, step.size}, DType::f32, device);
  Tensor hidden = Tensor::empty({step.sequences, 3 * step.size}, DType::f32, device);
  matrix_of(states, step).fill(0);
  gpu::dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (; step.s < step.steps; ++step.s) {
      gemm(matrix_of(states, step), direction.w_hh, hidden, {.transpose_b = true});
      T* const next = states.data<T>() + (step.s + 1) * carry.numel();
      const ForwardStep<T> at{products.data<T>(),
                              hidden.data<float>(),
                              direction.b_ih.data<float>(),
                              direction.b_hh.data<float>(),
                              carry.data<float>(),
                              matrix_of(gates, step).data<float>(),
                              step.s + 1 < step.steps ? next : nullptr,
                              y.data<T>(),
                              last.data<T>()};
      launch("gru_forward_kernel", device, launch_shape(step), gru_forward_kernel<T>, step, at);
    }
  });
}

void backward_gpu(const GruDirection& direction, const Tensor& dy, const Tensor& dlast, const Tensor& states,
                  const Tensor& gates, Tensor& dproducts, Tensor& dhidden) {
  const Device device = states.device();
  Step step = first_step(direction);
  Tensor carry = Tensor::zeros({step.sequences, step.size}, DType::f32, device);
  gpu::dispatch_float(states.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (step.s = step.steps - 1; step.s >= 0; --step.s) {
      const Tensor through = matrix_of(dhidden, step);
      const BackwardStep<T> at{data_or_null<T>(dy),
                               data_or_null<T>(dlast),
                               matrix_of(gates, step).data<float>(),
                               matrix_of(states, step).template data<T>(),
                               carry.data<float>(),
                               dproducts.data<T>(),
                               through.data<T>()};
      launch("gru_backward_kernel", device, launch_shape(step), gru_backward_kernel<T>, step, at);
      if (step.s > 0) gemm(through, direction.w_hh, carry, {.beta = 1.0});
    }
  });
}

}  // namespace

extern const GruKernels SIMCLR_KERNELS(gru);
const GruKernels SIMCLR_KERNELS(gru) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
