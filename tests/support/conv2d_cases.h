#pragma once

#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/conv2d.h>

#include "catch.h"
#include "tensors.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

/// Convolutions by the definition, and by the kernels.
namespace simclr::test {

using namespace simclr::kernels;

struct Case {
  std::int64_t n, h, w, c, o, k, l;
  PerAxis stride, padding;

  Shape x_shape() const { return {n, h, w, c}; }
  Shape w_shape() const { return {o, k, l, c}; }
  Conv2dGeometry geometry() const { return {stride, padding}; }
  Shape y_shape() const { return conv2d_output_shape(x_shape(), w_shape(), geometry()); }
};

inline std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << "x " << one.x_shape() << " w " << one.w_shape() << " stride " << one.stride << " padding "
             << one.padding;
}

/// The definition, in double: calls visit(x index, w index, y index) for each product.
template <class Visit>
void for_each_product(const Case& one, Visit&& visit) {
  const Shape y = one.y_shape();
  for (std::int64_t n = 0; n < one.n; ++n) {
    for (std::int64_t i = 0; i < y[1]; ++i) {
      for (std::int64_t j = 0; j < y[2]; ++j) {
        for (std::int64_t o = 0; o < one.o; ++o) {
          for (std::int64_t u = 0; u < one.k; ++u) {
            for (std::int64_t v = 0; v < one.l; ++v) {
              const std::int64_t row = i * one.stride.height + u - one.padding.height,
                                 column = j * one.stride.width + v - one.padding.width;
              if (row < 0 || row >= one.h || column < 0 || column >= one.w) continue;
              for (std::int64_t c = 0; c < one.c; ++c) {
                visit(static_cast<std::size_t>(((n * one.h + row) * one.w + column) * one.c + c),
                      static_cast<std::size_t>(((o * one.k + u) * one.l + v) * one.c + c),
                      static_cast<std::size_t>(((n * y[1] + i) * y[2] + j) * one.o + o));
              }
            }
          }
        }
      }
    }
  }
}

struct Results {
  Tensor y, dx, dw;
};

struct Inputs {
  Tensor x, w, dy;

  Inputs(const Case& one, DType dtype)
      : x(random_tensor(one.x_shape(), 1, dtype)),
        w(random_tensor(one.w_shape(), 2, dtype)),
        dy(random_tensor(one.y_shape(), 3, dtype)) {}
};

inline Results reference(const Case& one) {
  const Inputs in(one, DType::f64);
  const auto x = in.x.to_vector<double>(), w = in.w.to_vector<double>(), dy = in.dy.to_vector<double>();
  std::vector<double> y(dy.size()), dx(x.size()), dw(w.size());
  for_each_product(one, [&](std::size_t i, std::size_t j, std::size_t k) {
    y[k] += x[i] * w[j];
    dx[i] += dy[k] * w[j];
    dw[j] += dy[k] * x[i];
  });
  return {Tensor::from(y, one.y_shape()), Tensor::from(dx, one.x_shape()), Tensor::from(dw, one.w_shape())};
}

/// An output full of NaN, between two rows that nobody may write.
class Guarded {
 public:
  Guarded(const Shape& shape, DType dtype)
      : all_(Tensor::full(shape.with_first(shape[0] + 2), 77.0, dtype)), inner_(all_.narrow(1, shape[0])) {
    inner_.fill(NAN);
  }
  Tensor& tensor() { return inner_; }
  bool intact() const {
    for (const Tensor& row : {all_.narrow(0, 1), all_.narrow(all_.dim(0) - 1, 1)}) {
      for (const double value : row.to_vector<double>()) {
        if (value != 77.0) return false;
      }
    }
    return true;
  }

 private:
  Tensor all_, inner_;
};

inline Results run(const Conv2dKernels& kernels, const Case& one, DType dtype) {
  const Inputs in(one, dtype), before(one, dtype);
  Guarded y(one.y_shape(), dtype), dx(one.x_shape(), dtype), dw(one.w_shape(), dtype);
  kernels.forward(in.x, in.w, y.tensor(), one.geometry());
  kernels.backward_data(in.dy, in.w, dx.tensor(), one.geometry());
  kernels.backward_weights(in.x, in.dy, dw.tensor(), one.geometry());
  CHECK((y.intact() && dx.intact() && dw.intact()));
  CHECK((same_bits(in.x, before.x) && same_bits(in.w, before.w) && same_bits(in.dy, before.dy)));
  return {y.tensor(), dx.tensor(), dw.tensor()};
}

/// Rounding of a sum of `terms` grows about like its square root; relative to the largest element.
inline double tolerance(DType dtype, std::int64_t terms) {
  return (dtype == DType::f64 ? 2.3e-16 : 1.2e-7) * (4 + std::sqrt(static_cast<double>(terms)));
}

inline void check_near(const Case& one, const Results& got, const Results& expected, DType dtype) {
  const Shape y = one.y_shape();
  CHECK(relative_error(got.y, expected.y) < tolerance(dtype, one.k * one.l * one.c));
  CHECK(relative_error(got.dx, expected.dx) < tolerance(dtype, one.k * one.l * one.o));
  CHECK(relative_error(got.dw, expected.dw) < tolerance(dtype, one.n * y[1] * y[2]));
}

inline const Conv2dKernels& chosen() {
  return conv2d_slot.on(Device{});
}

inline std::string implementation(const Case& one, Conv2dDirection direction) {
  return conv2d_implementation(one.x_shape(), one.w_shape(), one.geometry(), direction);
}

inline bool is_winograd(const Case& one, Conv2dDirection direction = Conv2dDirection::forward) {
  return implementation(one, direction).rfind("winograd", 0) == 0;
}

inline bool all_same_bits(const Results& a, const Results& b) {
  return same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.dw, b.dw);
}

/// Sets the thread count for one test.
struct Threads {
  int previous = threads();
  explicit Threads(int count) { set_threads(count); }
  ~Threads() { set_threads(previous); }
};

inline constexpr Conv2dDirection directions[] = {Conv2dDirection::forward, Conv2dDirection::backward_data,
                                                 Conv2dDirection::backward_weights};

}  // namespace simclr::test
