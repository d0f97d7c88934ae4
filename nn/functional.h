#pragma once

#include <simclr/core/autograd.h>
#include <simclr/core/world.h>
#include <simclr/kernels/conv2d.h>
#include <simclr/kernels/dropout.h>
#include <simclr/kernels/gru.h>
#include <simclr/kernels/pool.h>

#include <optional>
#include <vector>

/// The differentiable functions, one for each op. Formulas, shapes and errors are those of the contract in kernels/OP.h
/// (elementwise.h, unary.h, gelu.h, softmax.h, sum_along.h, gemm.h, transpose.h, columns.h, conv2d.h, batchnorm.h,
/// layernorm.h, pool.h, similarity.h; for sequences embedding.h, dropout.h, gru.h, attention.h, time_pool.h): Error for
/// tensors that do not fit each other. Every tensor of a call has the same floating dtype and device, but weights and
/// biases may be f32 beside bf16.
namespace simclr::nn {

/// Elementwise, of b with a's shape, or a row b [C] for every row of a [...,C]. A row is f32 beside bf16, as biases
/// are, and as sums along a dimension come.
SIMCLR_API Tensor add(const Tensor& a, const Tensor& b);
SIMCLR_API Tensor subtract(const Tensor& a, const Tensor& b);
SIMCLR_API Tensor multiply(const Tensor& a, const Tensor& b);
/// a * (1 / b), which is a / b to a rounding, but for b so small that 1 / b is infinite (f32: below 2.9e-39).
SIMCLR_API Tensor divide(const Tensor& a, const Tensor& b);
/// factor x.
SIMCLR_API Tensor scale(const Tensor& x, double factor);
SIMCLR_API Tensor relu(const Tensor& x);
/// x P(x), P the normal distribution's cumulative function.
SIMCLR_API Tensor gelu(const Tensor& x);
/// Of each value (kernels/unary.h). The slope of sqrt at 0 is infinite: add a little before it.
SIMCLR_API Tensor exp(const Tensor& x);
SIMCLR_API Tensor log(const Tensor& x);
SIMCLR_API Tensor sqrt(const Tensor& x);
SIMCLR_API Tensor reciprocal(const Tensor& x);
SIMCLR_API Tensor sigmoid(const Tensor& x);
SIMCLR_API Tensor tanh(const Tensor& x);
/// e^{x_c} / sum_k e^{x_k} for each row of x [...,C].
SIMCLR_API Tensor softmax(const Tensor& x);
/// The sum of all elements, a scalar.
SIMCLR_API Tensor sum(const Tensor& x);
/// The mean of all elements, a scalar. Throws Error where there are none.
SIMCLR_API Tensor mean(const Tensor& x);
/// The same along dimension `dim`, which is gone then, or counted from the end where it is negative: [N,C] -> [C] along
/// 0, [N] along 1 or -1. Of bf16 they are f32.
SIMCLR_API Tensor sum(const Tensor& x, int dim);
SIMCLR_API Tensor mean(const Tensor& x, int dim);
/// x / |x| for each row of x [N,D].
SIMCLR_API Tensor normalize(const Tensor& x);

/// a [M,K] times b [K,N].
SIMCLR_API Tensor matmul(const Tensor& a, const Tensor& b);
/// x [R,C] -> [C,R].
SIMCLR_API Tensor transpose(const Tensor& x);
/// x [R,C] -> [min(R,C)], the values x_ii.
SIMCLR_API Tensor diagonal(const Tensor& x);
/// x [N,I] times w [O,I] transposed, plus bias [O] where defined: [N,O].
SIMCLR_API Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});
/// x [...,C] + bias [C].
SIMCLR_API Tensor add_bias(const Tensor& x, const Tensor& bias);
/// x [N,H,W,C], w [O,K,L,C].
SIMCLR_API Tensor conv2d(const Tensor& x, const Tensor& w, const kernels::Conv2dGeometry& geometry = {});

struct Conv1dGeometry {
  int stride = 1;
  int padding = 0;
};
/// Along the second dimension, every place of the others by itself: x [N,T,...,C] -> [N,T',...,O] with w [O,K,C] and
/// T' = (T + 2 padding - K) / stride + 1. x may be sequences [N,T,C] or clips [N,T,H,W,C]. It is conv2d: of sequences
/// as [N,1,T,C] with w as 1 x K, of clips as [N,T,places,C] with w as K x 1. Throws Error for
/// other ranks, other channels in w, a stride below 1, a negative padding, and where K is longer than T with its
/// padding.
SIMCLR_API Tensor conv1d(const Tensor& x, const Tensor& w, const Conv1dGeometry& geometry = {});

struct BatchNormOptions {
  bool training = true;  // statistics of the batch; false: the running ones
  double eps = 1e-5;
  double momentum = 0.1;
  bool relu = false;
  World* world = nullptr;  // whose ranks' rows training takes statistics of, as many of each; null: of x alone
};
/// act(batchnorm(x) [+ residual]), x [...,C]. Training moves running_mean and running_var [C] where defined.
/// Over several ranks gamma and beta get the gradient of the own rows, to be summed with all others'; x that of the
/// whole.
SIMCLR_API Tensor batchnorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                            const Tensor& running_var, const Tensor& residual, const BatchNormOptions& options);

/// Each row of x [...,C] normalised over C, times gamma [C] plus beta [C].
SIMCLR_API Tensor layernorm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5);
/// sum = x + residual, of one shape, and y = layernorm(sum), in one pass.
struct ResidualNorm {
  Tensor y, sum;
};
SIMCLR_API ResidualNorm add_layernorm(const Tensor& x, const Tensor& residual, const Tensor& gamma, const Tensor& beta,
                                      double eps = 1e-5);

SIMCLR_API Tensor max_pool(const Tensor& x, const kernels::MaxPoolGeometry& geometry = {});
/// [N,H,W,C] -> [N,C].
SIMCLR_API Tensor global_average_pool(const Tensor& x);

/// Rows of table [V,C] by ids i32 [N,T], zeros where t >= lengths[n]: [N,T,C] of the table's dtype, or of `dtype`: bf16
/// beside an f32 table.
SIMCLR_API Tensor embedding(const Tensor& table, const Tensor& ids, const Tensor& lengths = {},
                            std::optional<DType> dtype = {});

/// Sequences [N,T,C] without their padding as rows [R,C], and back, with zeros in the padding: what treats steps alike
/// need not compute it. Without lengths, and on a GPU, the rows are all steps.
SIMCLR_API Tensor pack_sequences(const Tensor& x, const Tensor& lengths);
SIMCLR_API Tensor pad_sequences(const Tensor& rows, const Tensor& lengths, std::int64_t sequences, std::int64_t steps);

/// x [N,...] over 1 - p, or 0 with probability p, by the keys i32 [N,3] of its views; x itself where p is 0.
SIMCLR_API Tensor dropout(const Tensor& x, const Tensor& keys, const kernels::DropoutOptions& options);
/// [N,T,C] -> [N,C], the mean and the maximum over the lengths[n] steps that are a sequence's own; 0 where none is.
SIMCLR_API Tensor mean_over_time(const Tensor& x, const Tensor& lengths = {});
SIMCLR_API Tensor max_over_time(const Tensor& x, const Tensor& lengths = {});

/// Self-attention: of qkv [N,T,3C], each step's query, key and value, the values of each head weighted by how well the
/// others' keys fit its query: [N,T,C], zeros behind the lengths (kernels/attention.h).
SIMCLR_API Tensor attention(const Tensor& qkv, std::int64_t heads, const Tensor& lengths = {});

/// Tensors [...,C_i], side by side along the last dimension: [...,sum C_i]. Throws Error where there is none.
SIMCLR_API Tensor concatenate(const std::vector<Tensor>& parts);
/// Columns [begin, begin + count) of x [...,C]: [...,count]. Throws Error where x has no such columns.
SIMCLR_API Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t count);

struct GruOutput {
  Tensor y;     // [N,T,D H]: h behind each step, the directions beside one another
  Tensor last;  // [N,D H]: h behind each direction's last step
};
/// x [N,T,I], lengths i32 [N] or undefined; one direction, or two.
SIMCLR_API GruOutput gru(const Tensor& x, const Tensor& lengths, const std::vector<kernels::GruWeights>& directions);

/// Cosine similarities over the temperature: a [A,D], b [M,D] -> [A,M].
SIMCLR_API Tensor similarity(const Tensor& a, const Tensor& b, double temperature = 1.0);

}  // namespace simclr::nn
