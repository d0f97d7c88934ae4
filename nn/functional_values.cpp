// The differentiable functions of single values, their sums, and what rearranges them.
#include <simclr/kernels/columns.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/gelu.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/softmax.h>
#include <simclr/kernels/sum_along.h>
#include <simclr/kernels/transpose.h>
#include <simclr/kernels/unary.h>
#include <simclr/nn/functional.h>

#include <algorithm>

namespace simclr::nn {
namespace {

/// Whether b is a row for every row of a, and not of a's shape.
bool is_row(const char* op, const Tensor& a, const Tensor& b) {
  kernels::check_floats(op, a);
  if (b.defined() && b.shape() == a.shape()) {
    kernels::check_floats(op, a, b);
    return false;
  }
  SIMCLR_CHECK(b.defined() && b.rank() == 1 && a.rank() >= 1 && b.dim(0) == a.dim(-1), op, ": b must be ", a.shape(),
               " or a row of its last dimension, got ", describe(b));
  kernels::check_parameters(op, a, b);
  return true;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  if (is_row("add", a, b)) return add_bias(a, b);
  return record("add", {a, b}, kernels::add(a, b), [](Backward& bw) {
    bw.set(0, bw.dy());
    bw.set(1, bw.dy());
  });
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  is_row("subtract", a, b);
  return add(a, scale(b, -1.0));
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  const bool row = is_row("multiply", a, b);
  const auto times = row ? kernels::multiply_rows : kernels::multiply;
  return record("multiply", {a, b}, times(a, b), {a, b}, [a = a.detach(), b = b.detach(), row, times](Backward& bw) {
    if (bw.needs(0)) bw.set(0, times(bw.dy(), b));
    if (!bw.needs(1)) return;
    const Tensor each = kernels::multiply(bw.dy(), a);
    if (!row) return bw.set(1, each);
    Tensor db = bw.buffer(1);
    kernels::bias_backward(each, db);
    bw.set(1, db);
  });
}

Tensor divide(const Tensor& a, const Tensor& b) {
  is_row("divide", a, b);
  return multiply(a, reciprocal(b));
}

Tensor scale(const Tensor& x, double factor) {
  return record("scale", {x}, kernels::scale(x, factor),
                [factor](Backward& bw) { bw.set(0, kernels::scale(bw.dy(), factor)); });
}

Tensor relu(const Tensor& x) {
  const Tensor y = kernels::relu_forward(x);
  return record("relu", {x}, y, {y}, [y = y.detach()](Backward& bw) { bw.set(0, kernels::relu_backward(bw.dy(), y)); });
}

Tensor gelu(const Tensor& x) {
  return record("gelu", {x}, kernels::gelu_forward(x), {x},
                [x = x.detach()](Backward& bw) { bw.set(0, kernels::gelu_backward(bw.dy(), x)); });
}

namespace {

Tensor unary(const char* name, kernels::Unary f, const Tensor& x) {
  const Tensor y = kernels::unary_forward(f, x);
  const Tensor saved = f == kernels::Unary::log ? x.detach() : y.detach();
  return record(name, {x}, y, {saved},
                [f, saved](Backward& bw) { bw.set(0, kernels::unary_backward(f, bw.dy(), saved)); });
}

}  // namespace

Tensor exp(const Tensor& x) {
  return unary("exp", kernels::Unary::exp, x);
}

Tensor log(const Tensor& x) {
  return unary("log", kernels::Unary::log, x);
}

Tensor sqrt(const Tensor& x) {
  return unary("sqrt", kernels::Unary::sqrt, x);
}

Tensor reciprocal(const Tensor& x) {
  return unary("reciprocal", kernels::Unary::reciprocal, x);
}

Tensor sigmoid(const Tensor& x) {
  return unary("sigmoid", kernels::Unary::sigmoid, x);
}

Tensor tanh(const Tensor& x) {
  return unary("tanh", kernels::Unary::tanh, x);
}

Tensor softmax(const Tensor& x) {
  const Tensor y = kernels::softmax_forward(x);
  return record("softmax", {x}, y, {y},
                [y = y.detach()](Backward& bw) { bw.set(0, kernels::softmax_backward(bw.dy(), y)); });
}

Tensor sum(const Tensor& x) {
  return record("sum", {x}, kernels::sum(x), [shape = x.shape(), dtype = x.dtype()](Backward& bw) {
    // dy for every element, without the host's knowing it.
    bw.set(0, kernels::spread_along(bw.dy(), {shape.numel()}, 0, dtype).reshape(shape));
  });
}

Tensor mean(const Tensor& x) {
  SIMCLR_CHECK(x.numel() > 0, "mean: of no elements");
  return scale(sum(x), 1.0 / static_cast<double>(x.numel()));
}

Tensor sum(const Tensor& x, int dim) {
  return record("sum", {x}, kernels::sum_along(x, dim), [shape = x.shape(), dim, dtype = x.dtype()](Backward& bw) {
    bw.set(0, kernels::spread_along(bw.dy(), shape, dim, dtype));
  });
}

Tensor mean(const Tensor& x, int dim) {
  const Tensor y = sum(x, dim);
  SIMCLR_CHECK(x.dim(dim) > 0, "mean: dimension ", dim, " of ", describe(x), " has no elements");
  return scale(y, 1.0 / static_cast<double>(x.dim(dim)));
}

Tensor transpose(const Tensor& x) {
  return record("transpose", {x}, kernels::transpose(x), [](Backward& bw) { bw.set(0, kernels::transpose(bw.dy())); });
}

namespace {

/// Where values of a diagonal stand: the first column of `rows`, and the last one.
struct Diagonal {
  Tensor rows, last;
};

/// In a matrix [R,C] they are C + 1 apart: all but the last are a column of the same memory in rows of C + 1.
Diagonal in_matrix(const Tensor& x, std::int64_t n) {
  const std::int64_t apart = x.dim(1) + 1;
  const Tensor flat = x.detach().reshape({x.numel()});
  return {flat.narrow(0, (n - 1) * apart).reshape({n - 1, apart}), flat.narrow((n - 1) * apart, 1)};
}

Diagonal in_vector(const Tensor& x, std::int64_t n) {
  return {x.detach().narrow(0, n - 1).reshape({n - 1, 1}), x.detach().narrow(n - 1, 1)};
}

void copy_diagonal(const Diagonal& from, Diagonal to) {
  kernels::copy_columns(from.rows, 0, to.rows, 0, 1);
  to.last.copy_from(from.last);
}

}  // namespace

Tensor diagonal(const Tensor& x) {
  kernels::check_floats("diagonal", x);
  kernels::check_rank("diagonal", "x", x, 2);
  const std::int64_t n = std::min(x.dim(0), x.dim(1));
  const Tensor y = Tensor::empty({n}, x.dtype(), x.device());
  if (n > 0) copy_diagonal(in_matrix(x, n), in_vector(y, n));
  return record("diagonal", {x}, y, [shape = x.shape(), n](Backward& bw) {
    const Tensor dx = Tensor::zeros(shape, bw.dy().dtype(), bw.dy().device());
    if (n > 0) copy_diagonal(in_vector(bw.dy(), n), in_matrix(dx, n));
    bw.set(0, dx);
  });
}

}  // namespace simclr::nn
