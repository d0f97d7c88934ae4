// Cosine similarity on the CPU: rows normalised, then matrix products.
#include <simclr/core/parallel.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/similarity.h>

#include "cpu/normalize.h"
#include "shared/check.h"

#include <cmath>
#include <limits>

namespace simclr::kernels {
namespace {

struct Unit {
  Tensor u, norm;
};

template <class T>
Unit normalized(const Tensor& z) {
  Unit unit = {Tensor::empty_like(z), row_norms<T>(z)};
  const std::int64_t width = z.dim(1);
  parallel_for(z.dim(0), items_a_piece({.bytes = 16 * width}), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const double norm = unit.norm.data<double>()[i];
      const T* from = z.data<T>() + i * width;
      T* to = unit.u.data<T>() + i * width;
      for (std::int64_t d = 0; d < width; ++d) to[d] = norm == 0 ? T(0) : static_cast<T>(double{from[d]} / norm);
    }
  });
  return unit;
}

void forward(const Tensor& a, const Tensor& b, double temperature, Tensor& s) {
  dispatch_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    gemm(normalized<T>(a).u, normalized<T>(b).u, s, {.transpose_b = true, .alpha = 1 / temperature});
  });
}

/// dz holds the gradient of u times temperature, and becomes that of z.
template <class T>
void through_norm(const Tensor& z, const Unit& unit, double temperature, Tensor& dz) {
  const std::int64_t width = z.dim(1);
  parallel_for(z.dim(0), items_a_piece({.bytes = 16 * width}), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T* row = dz.data<T>() + i * width;
      normalize_backward(row, z.data<T>() + i * width, unit.norm.data<double>()[i], 1 / temperature, width, row);
    }
  });
}

void backward(const Tensor& ds, const Tensor& a, const Tensor& b, double temperature, Tensor& da, Tensor& db) {
  dispatch_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Unit unit_a = normalized<T>(a), unit_b = normalized<T>(b);
    gemm(ds, unit_b.u, da);
    through_norm<T>(a, unit_a, temperature, da);
    gemm(ds, unit_a.u, db, {.transpose_a = true});
    through_norm<T>(b, unit_b, temperature, db);
  });
}

void check_inputs(const char* op, const Tensor& a, const Tensor& b, double temperature) {
  check_floats(op, a, b);
  check_rank(op, "a", a, 2);
  check_rank(op, "b", b, 2);
  SIMCLR_CHECK(a.dim(1) == b.dim(1), op, ": a ", a.shape(), " and b ", b.shape(), " must have rows of one length");
  SIMCLR_CHECK(temperature > 0 && std::isfinite(temperature), op, ": temperature ", temperature,
               " must be positive and finite");
  const bool wide = a.dtype() == DType::f64;
  const double most = wide ? std::numeric_limits<double>::max() : double{std::numeric_limits<float>::max()};
  SIMCLR_CHECK(1 / temperature <= most, op, ": temperature ", temperature, ": ", a.dtype(),
               " cannot hold similarities over it; raise it");
}

}  // namespace

extern const SimilarityKernels similarity_cpu;
const SimilarityKernels similarity_cpu = {forward, backward};

Tensor similarity_forward(const Tensor& a, const Tensor& b, double temperature) {
  check_inputs("similarity", a, b, temperature);
  Tensor s = Tensor::empty({a.dim(0), b.dim(0)}, parameter_dtype(a.dtype()), a.device());
  similarity_slot.on(a.device()).forward(a, b, temperature, s);
  return s;
}

SimilarityGradient similarity_backward(const Tensor& ds, const Tensor& a, const Tensor& b, double temperature) {
  check_inputs("similarity", a, b, temperature);
  check_parameters("similarity", a, ds);
  check_shape("similarity", "ds", ds, {a.dim(0), b.dim(0)});
  SimilarityGradient gradient = {Tensor::empty_like(a), Tensor::empty_like(b)};
  similarity_slot.on(a.device()).backward(ds, a, b, temperature, gradient.da, gradient.db);
  return gradient;
}

}  // namespace simclr::kernels
