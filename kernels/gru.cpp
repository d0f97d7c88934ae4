// Gated recurrent units: the checks, and the products that are one matrix product over all steps,
//   p = W_i x, and backward dx = W_i^T dp, dW_i = dp^T x, dW_h = dq^T h, db_i and db_h the sums of dp and dq over all
//   steps.
// What is left for the devices' kernels is a step at a time: cpu/gru_groups.cpp and gru.cu. On the CPU the rows of all
// these products are the steps within the lengths, on a GPU, whose lengths the host does not know, all steps.
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/gru.h>
#include <simclr/kernels/shared/check_lengths.h>
#include <simclr/kernels/shared/packing.h>

namespace simclr::kernels {
namespace {

void check_weights(const char* op, const Tensor& x, const GruWeights& w, std::int64_t size) {
  check_floats(op, x, w.w_ih, w.w_hh);
  check_parameters(op, x, w.b_ih, w.b_hh);
  check_shape(op, "w_ih", w.w_ih, {3 * size, x.dim(2)});
  check_shape(op, "w_hh", w.w_hh, {3 * size, size});
  check_shape(op, "b_ih", w.b_ih, {3 * size});
  check_shape(op, "b_hh", w.b_hh, {3 * size});
}

/// Returns H.
std::int64_t check_layer(const char* op, const Tensor& x, const Tensor& lengths,
                         const std::vector<GruWeights>& directions) {
  check_floats(op, x);
  SIMCLR_CHECK(x.rank() == 3 && x.numel() > 0, op, ": x must be [N,T,I] and not empty, got ", describe(x));
  check_lengths(op, x, lengths, x.dim(0), x.dim(1));
  SIMCLR_CHECK(directions.size() == 1 || directions.size() == 2, op, ": ", directions.size(),
               " directions; there are one or two");
  check_rank(op, "w_hh", directions[0].w_hh, 2);
  const std::int64_t size = directions[0].w_hh.dim(1);
  SIMCLR_CHECK(size > 0, op, ": w_hh must be [3H,H] and not empty, got ", describe(directions[0].w_hh));
  for (const GruWeights& w : directions) check_weights(op, x, w, size);
  return size;
}

void check_gradients(const char* op, const GruSaved& saved, const GruGradients& gradients) {
  if (gradients.dx.defined()) {
    check_floats(op, saved.x, gradients.dx);
    check_shape(op, "dx", gradients.dx, saved.x.shape());
  }
  SIMCLR_CHECK(gradients.directions.size() == saved.directions.size(), op, ": gradients of ",
               gradients.directions.size(), " directions, weights of ", saved.directions.size());
  for (std::size_t i = 0; i < saved.directions.size(); ++i) {
    const GruWeights &w = saved.directions[i], &dw = gradients.directions[i];
    check_parameters(op, saved.x, dw.w_ih, dw.w_hh, dw.b_ih, dw.b_hh);
    check_shape(op, "dw_ih", dw.w_ih, w.w_ih.shape());
    check_shape(op, "dw_hh", dw.w_hh, w.w_hh.shape());
    check_shape(op, "db_ih", dw.b_ih, w.b_ih.shape());
    check_shape(op, "db_hh", dw.b_hh, w.b_hh.shape());
  }
}

/// `count`: of the rows of the products.
void check_saved(const char* op, const GruSaved& saved, std::int64_t count, std::int64_t size) {
  SIMCLR_CHECK(saved.states.size() == saved.directions.size() && saved.gates.size() == saved.directions.size(), op,
               ": saved are the states of ", saved.states.size(), " directions and the gates of ", saved.gates.size(),
               ", weights of ", saved.directions.size(), "; give what gru_forward keeps");
  for (std::size_t i = 0; i < saved.directions.size(); ++i) {
    check_floats(op, saved.x, saved.states[i]);
    check_parameters(op, saved.x, saved.gates[i]);
    check_shape(op, "states", saved.states[i], {count, size});
    check_shape(op, "gates", saved.gates[i], {count, 4 * size});
  }
}

GruDirection direction_of(const GruSaved& saved, std::size_t index) {
  const GruWeights& w = saved.directions[index];
  return {saved.lengths,
          w.w_hh,
          w.b_ih,
          w.b_hh,
          saved.x.dim(0),
          saved.x.dim(1),
          static_cast<int>(index),
          static_cast<int>(saved.directions.size())};
}

}  // namespace

GruResult gru_forward(const Tensor& x, const Tensor& lengths, const std::vector<GruWeights>& directions, bool keep) {
  const std::int64_t size = check_layer("gru_forward", x, lengths, directions);
  const std::int64_t columns = size * static_cast<std::int64_t>(directions.size());
  const auto fresh = [&](const Shape& shape) { return Tensor::empty(shape, x.dtype(), x.device()); };
  GruResult result{fresh({x.dim(0), x.dim(1), columns}), fresh({x.dim(0), columns}), {x, lengths, directions, {}, {}}};
  const Tensor rows = pack_sequences(x, lengths);
  const std::int64_t count = rows.dim(0);
  for (std::size_t i = 0; i < directions.size(); ++i) {
    Tensor products = fresh({count, 3 * size});
    gemm(rows, directions[i].w_ih, products, {.transpose_b = true});
    Tensor states = fresh({count, size}),
           gates = Tensor::empty({count, 4 * size}, parameter_dtype(x.dtype()), x.device());
    gru_slot.on(x.device()).forward(direction_of(result.saved, i), products, states, gates, result.y, result.last);
    if (!keep) continue;
    result.saved.states.push_back(states);
    result.saved.gates.push_back(gates);
  }
  return result;
}

void gru_backward(const Tensor& dy, const Tensor& dlast, const GruSaved& saved, GruGradients& gradients) {
  constexpr const char* op = "gru_backward";
  const Tensor& x = saved.x;
  const std::int64_t size = check_layer(op, x, saved.lengths, saved.directions);
  const std::int64_t columns = size * static_cast<std::int64_t>(saved.directions.size());
  if (dy.defined()) {
    check_floats(op, x, dy);
    check_shape(op, "dy", dy, {x.dim(0), x.dim(1), columns});
  }
  if (dlast.defined()) {
    check_floats(op, x, dlast);
    check_shape(op, "dlast", dlast, {x.dim(0), columns});
  }
  check_gradients(op, saved, gradients);
  const Tensor rows = pack_sequences(x, saved.lengths);
  const std::int64_t count = rows.dim(0);
  check_saved(op, saved, count, size);
  const bool packed = packs(x, saved.lengths);
  Tensor drows;
  if (gradients.dx.defined()) {
    drows = packed ? Tensor::empty(rows.shape(), x.dtype()) : gradients.dx.reshape(rows.shape());
  }
  for (std::size_t i = 0; i < saved.directions.size(); ++i) {
    Tensor dproducts = Tensor::empty({count, 3 * size}, x.dtype(), x.device()), dhidden = Tensor::empty_like(dproducts);
    gru_slot.on(x.device())
        .backward(direction_of(saved, i), dy, dlast, saved.states[i], saved.gates[i], dproducts, dhidden);
    GruWeights& dw = gradients.directions[i];
    gemm(dproducts, rows, dw.w_ih, {.transpose_a = true});
    gemm(dhidden, saved.states[i], dw.w_hh, {.transpose_a = true});
    bias_backward(dproducts, dw.b_ih);
    bias_backward(dhidden, dw.b_hh);
    if (drows.defined()) gemm(dproducts, saved.directions[i].w_ih, drows, {.beta = i == 0 ? 0.0 : 1.0});
  }
  if (packed && drows.defined()) pad_sequences(drows, saved.lengths, gradients.dx);
}

}  // namespace simclr::kernels
