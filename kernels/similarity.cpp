// Cosine similarity on the CPU: rows normalised, then Eigen's matrix product in tiles of rows. Tiles are
// the same for any thread count, so the bits are too.
#include <simclr/core/parallel.h>
#include <simclr/kernels/similarity.h>

#include "check.h"
#include "normalize.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

namespace simclr::kernels {
namespace {

/// A tensor [R,C] as an Eigen matrix.
template <class T>
auto as_matrix(const Tensor& tensor) {
  using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<RowMajor>(tensor.data<T>(), tensor.dim(0), tensor.dim(1));
}

constexpr std::int64_t tile_rows = 128;

/// Runs body(first row, rows) for every tile of `rows` rows, each product inside on one thread.
template <class Body>
void for_tiles(std::int64_t rows, const Body& body) {
  parallel_for((rows + tile_rows - 1) / tile_rows, 1, [&](std::int64_t begin, std::int64_t end) {
    const SerialScope serial;
    for (std::int64_t t = begin; t < end; ++t) {
      body(t * tile_rows, std::min(tile_rows, rows - t * tile_rows));
    }
  });
}

struct Unit {
  Tensor u, norm;
};

template <class T>
Unit normalized(const Tensor& z) {
  Unit unit = {Tensor::empty_like(z), Tensor::empty({z.dim(0)}, DType::f64)};
  normalize_rows<T>(z, unit.u, unit.norm);
  return unit;
}

void forward(const Tensor& a, const Tensor& b, double temperature, Tensor& s) {
  dispatch_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Unit unit_a = normalized<T>(a), unit_b = normalized<T>(b);
    const auto ua = as_matrix<T>(unit_a.u), ub = as_matrix<T>(unit_b.u);
    auto out = as_matrix<T>(s);
    for_tiles(a.dim(0), [&](std::int64_t first, std::int64_t rows) {
      out.middleRows(first, rows).noalias() = ua.middleRows(first, rows) * ub.transpose();
      T* tile = s.data<T>() + first * s.dim(1);
      for (std::int64_t k = 0; k < rows * s.dim(1); ++k) tile[k] = static_cast<T>(double{tile[k]} / temperature);
    });
  });
}

void backward(const Tensor& ds, const Tensor& a, const Tensor& b, double temperature, Tensor& da, Tensor& db) {
  dispatch_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Unit unit_a = normalized<T>(a), unit_b = normalized<T>(b);
    const auto g = as_matrix<T>(ds);
    const auto ua = as_matrix<T>(unit_a.u), ub = as_matrix<T>(unit_b.u);
    const auto finish = [&](const Tensor& z, const Unit& unit, Tensor& dz, std::int64_t first, std::int64_t rows) {
      const std::int64_t width = z.dim(1);
      for (std::int64_t i = first; i < first + rows; ++i) {
        T* row = dz.data<T>() + i * width;
        normalize_backward(row, z.data<T>() + i * width, unit.norm.data<double>()[i], 1 / temperature, width, row);
      }
    };
    auto out_a = as_matrix<T>(da), out_b = as_matrix<T>(db);
    for_tiles(a.dim(0), [&](std::int64_t first, std::int64_t rows) {
      out_a.middleRows(first, rows).noalias() = g.middleRows(first, rows) * ub;
      finish(a, unit_a, da, first, rows);
    });
    for_tiles(b.dim(0), [&](std::int64_t first, std::int64_t rows) {
      out_b.middleRows(first, rows).noalias() = g.middleCols(first, rows).transpose() * ua;
      finish(b, unit_b, db, first, rows);
    });
  });
}

void check_inputs(const char* op, const Tensor& a, const Tensor& b, double temperature) {
  check_floats(op, a, b);
  check_rank(op, "a", a, 2);
  check_rank(op, "b", b, 2);
  SIMCLR_CHECK(a.dim(1) == b.dim(1), op, ": a ", a.shape(), " and b ", b.shape(), " must have rows of one length");
  SIMCLR_CHECK(temperature > 0 && std::isfinite(temperature), op, ": temperature ", temperature,
               " must be positive and finite");
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
