// Attention on the CPU: a block of steps of one head at a time, against all steps of its sequence; the maths is in the
// header, the loops in cpu/attention.cpp. A block writes its own rows alone, so bits do not depend on threads.
#include <simclr/core/parallel.h>
#include <simclr/kernels/attention.h>
#include <simclr/kernels/cpu/attention.h>
#include <simclr/kernels/shared/check_lengths.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace simclr::kernels {
namespace {

template <class T>
const AttentionFunctions<T>& loops() {
  if constexpr (std::is_same_v<T, float>) {
    return attention_loops().f32;
  } else {
    return attention_loops().f64;
  }
}

/// Where what belongs to a sequence and head lies.
struct Sizes {
  std::int64_t sequences, steps, heads, width;  // N, T, H, D

  explicit Sizes(const AttentionSaved& saved)
      : sequences(saved.qkv.dim(0)),
        steps(saved.qkv.dim(1)),
        heads(saved.heads),
        width(saved.qkv.dim(2) / (3 * heads)) {}

  std::int64_t channels() const { return heads * width; }
  std::int64_t in_qkv(std::int64_t n, std::int64_t h) const { return n * steps * 3 * channels() + h * width; }
  std::int64_t in_y(std::int64_t n, std::int64_t h) const { return n * steps * channels() + h * width; }
  std::int64_t in_log_sum(std::int64_t n, std::int64_t h) const { return (n * heads + h) * steps; }
};

/// Steps [first, first + count) of a head are its sequence's own; the block has `all` with the padding.
struct Block {
  std::int64_t n, h, first, count, all;
};

/// body(head, block, scratch memory) for all blocks of all heads.
template <class T, class Body>
void for_blocks(const AttentionSaved& saved, const Body& body) {
  const Sizes sizes(saved);
  const T* qkv = saved.qkv.data<T>();
  const std::int32_t* lengths = lengths_or_null(saved.lengths);
  const std::int64_t blocks = (sizes.steps + attention_block - 1) / attention_block;
  const T scale = static_cast<T>(1.0 / std::sqrt(static_cast<double>(sizes.width)));
  const std::int64_t flop = 4 * std::min(attention_block, sizes.steps) * sizes.steps * sizes.width;
  PerThread<Tensor> memory;
  parallel_for(sizes.sequences * sizes.heads * blocks, items_a_piece({.flop = flop}),
               [&](std::int64_t begin, std::int64_t end, int thread) {
                 const auto make = [&] { return Tensor::empty({loops<T>().scratch(sizes.width)}, dtype_of<T>); };
                 T* scratch = memory.get(thread, make).template data<T>();
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t of = i / blocks, n = of / sizes.heads, h = of % sizes.heads;
                   const std::int64_t first = i % blocks * attention_block, length = length_of(lengths, n, sizes.steps);
                   const T* q = qkv + sizes.in_qkv(n, h);
                   const std::int64_t apart = sizes.channels();
                   const AttentionHead<T> head = {q, q + apart, q + 2 * apart, 3 * apart, length, sizes.width, scale};
                   const Block block = {n, h, first, std::clamp<std::int64_t>(length - first, 0, attention_block),
                                        std::min(attention_block, sizes.steps - first)};
                   body(head, block, scratch);
                 }
               });
}

/// Zeros in the rows of a block that are padding; `rows` is where the head's step 0 lies.
template <class T>
void clear_padding(const Block& block, T* rows, std::int64_t stride, std::int64_t width) {
  for (std::int64_t t = block.count; t < block.all; ++t) std::fill_n(rows + (block.first + t) * stride, width, T{0});
}

template <class T>
void forward(AttentionSaved& saved) {
  const Sizes sizes(saved);
  T *y = saved.y.data<T>(), *log_sum = saved.log_sum.data<T>();
  for_blocks<T>(saved, [&](const AttentionHead<T>& head, const Block& block, T* scratch) {
    T* rows = y + sizes.in_y(block.n, block.h);
    T* logs = log_sum + sizes.in_log_sum(block.n, block.h) + block.first;
    T top[attention_block], sum[attention_block];
    if (block.count > 0) {
      loops<T>().forward(head, block.first, block.count, rows + block.first * sizes.channels(), sizes.channels(), top,
                         sum, scratch);
    }
    for (std::int64_t i = 0; i < block.count; ++i) logs[i] = top[i] + std::log2(sum[i]);
    clear_padding(block, rows, sizes.channels(), sizes.width);
    std::fill(logs + block.count, logs + block.all, T{0});
  });
}

template <class T>
void backward(const Tensor& dy_tensor, const AttentionSaved& saved, Tensor& dqkv_tensor) {
  const Sizes sizes(saved);
  const T *dy = dy_tensor.data<T>(), *y = saved.y.data<T>(), *log_sum = saved.log_sum.data<T>();
  const Tensor delta_tensor = Tensor::empty_like(saved.log_sum);
  T *dqkv = dqkv_tensor.data<T>(), *delta = delta_tensor.data<T>();
  const std::int64_t channels = sizes.channels();
  const auto gradient_of = [&](const Block& block) {
    const std::int64_t in_y = sizes.in_y(block.n, block.h), in_log_sum = sizes.in_log_sum(block.n, block.h);
    T* dq = dqkv + sizes.in_qkv(block.n, block.h);
    return AttentionHeadGradient<T>{dy + in_y, channels,      log_sum + in_log_sum, delta + in_log_sum,
                                    dq,        dq + channels, dq + 2 * channels};
  };
  // 1 delta and dq of each query
  for_blocks<T>(saved, [&](const AttentionHead<T>& head, const Block& block, T* scratch) {
    const AttentionHeadGradient<T> gradient = gradient_of(block);
    const T* own_y = y + sizes.in_y(block.n, block.h);
    T* own_delta = delta + sizes.in_log_sum(block.n, block.h);
    for (std::int64_t t = block.first; t < block.first + block.count; ++t) {
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t d = 0; d < sizes.width; ++d) sum += gradient.dy[t * channels + d] * own_y[t * channels + d];
      own_delta[t] = sum;
    }
    if (block.count > 0) loops<T>().queries(head, gradient, block.first, block.count, scratch);
    clear_padding(block, gradient.dq, head.stride, sizes.width);
  });
  // 2 dk and dv of each key
  for_blocks<T>(saved, [&](const AttentionHead<T>& head, const Block& block, T* scratch) {
    const AttentionHeadGradient<T> gradient = gradient_of(block);
    if (block.count > 0) loops<T>().keys(head, gradient, block.first, block.count, scratch);
    clear_padding(block, gradient.dk, head.stride, sizes.width);
    clear_padding(block, gradient.dv, head.stride, sizes.width);
  });
}

void forward_cpu(AttentionSaved& saved) {
  dispatch_float(saved.qkv.dtype(), [&](auto zero) { forward<decltype(zero)>(saved); });
}

void backward_cpu(const Tensor& dy, const AttentionSaved& saved, Tensor& dqkv) {
  dispatch_float(dy.dtype(), [&](auto zero) { backward<decltype(zero)>(dy, saved, dqkv); });
}

void check_input(const char* op, const Tensor& qkv, const Tensor& lengths, std::int64_t heads) {
  check_floats(op, qkv);
  check_rank(op, "qkv", qkv, 3);
  SIMCLR_CHECK(heads > 0 && qkv.dim(2) > 0 && qkv.dim(2) % (3 * heads) == 0, op, ": qkv must be [N,T,3C] with C in ",
               heads, " heads of the same width, got ", describe(qkv));
  SIMCLR_CHECK(qkv.dim(2) / (3 * heads) <= attention_widest_head, op, ": heads of ", qkv.dim(2) / (3 * heads),
               " values; at most ", attention_widest_head, " are supported, take more heads");
  check_lengths(op, qkv, lengths, qkv.dim(0), qkv.dim(1));
}

Shape shape_of_y(const Tensor& qkv) {
  return {qkv.dim(0), qkv.dim(1), qkv.dim(2) / 3};
}

}  // namespace

extern const AttentionKernels attention_cpu;
const AttentionKernels attention_cpu = {forward_cpu, backward_cpu};

AttentionResult attention_forward(const Tensor& qkv, const Tensor& lengths, std::int64_t heads) {
  check_input("attention_forward", qkv, lengths, heads);
  const Shape rows = {qkv.dim(0), heads, qkv.dim(1)};
  AttentionSaved saved{qkv.detach(), lengths, heads, Tensor::empty(shape_of_y(qkv), qkv.dtype(), qkv.device()),
                       Tensor::empty(rows, parameter_dtype(qkv.dtype()), qkv.device())};
  attention_slot.on(qkv.device()).forward(saved);
  return {saved.y, saved};
}

Tensor attention_backward(const Tensor& dy, const AttentionSaved& saved) {
  constexpr const char* op = "attention_backward";
  const Tensor& qkv = saved.qkv;
  check_input(op, qkv, saved.lengths, saved.heads);
  check_floats(op, qkv, dy, saved.y);
  check_parameters(op, qkv, saved.log_sum);
  check_shape(op, "dy", dy, shape_of_y(qkv));
  check_shape(op, "y", saved.y, dy.shape());
  check_shape(op, "log_sum", saved.log_sum, {qkv.dim(0), saved.heads, qkv.dim(1)});
  Tensor dqkv = Tensor::empty_like(qkv);
  attention_slot.on(qkv.device()).backward(dy, saved, dqkv);
  return dqkv;
}

}  // namespace simclr::kernels
