// fill, add, copy and cast on the CPU: what core/ itself needs.
#include <simclr/core/parallel.h>
#include <simclr/core/primitives.h>
#include <simclr/core/tensor.h>
#include <simclr/kernels/shared/convert.h>

#include <algorithm>
#include <cstring>

namespace simclr {
namespace {

constexpr std::int64_t grain = items_a_piece({.bytes = 8});  // elements

void fill_cpu(Tensor& y, double value) {
  dispatch_dtype(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* out = y.data<T>();
    const T element = convert<T>(value);
    parallel_for(y.numel(), grain,
                 [=](std::int64_t begin, std::int64_t end) { std::fill(out + begin, out + end, element); });
  });
}

void add_cpu(const Tensor& a, const Tensor& b, Tensor& y) {
  dispatch_dtype(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* out = y.data<T>();
    parallel_for(y.numel(), grain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        if constexpr (std::is_same_v<T, BFloat16>) {
          out[i] = BFloat16(static_cast<float>(pa[i]) + static_cast<float>(pb[i]));
        } else {
          out[i] = static_cast<T>(pa[i] + pb[i]);
        }
      }
    });
  });
}

void copy_cpu(const Tensor& x, Tensor& y) {
  const auto* from = static_cast<const std::byte*>(x.raw_data());
  auto* to = static_cast<std::byte*>(y.raw_data());
  if (from < to + y.bytes() && to < from + y.bytes()) {  // rows of one tensor moved up or down: in one go
    std::memmove(to, from, y.bytes());
    return;
  }
  parallel_for(static_cast<std::int64_t>(y.bytes()), grain * 4, [=](std::int64_t begin, std::int64_t end) {
    std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin));
  });
}

void cast_cpu(const Tensor& x, Tensor& y) {
  dispatch_dtype(x.dtype(), [&](auto from_zero) {
    dispatch_dtype(y.dtype(), [&](auto to_zero) {
      using From = decltype(from_zero);
      using To = decltype(to_zero);
      const From* from = x.data<From>();
      To* to = y.data<To>();
      parallel_for(y.numel(), grain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) to[i] = convert<To>(from[i]);
      });
    });
  });
}

}  // namespace

extern const PrimitivesKernels primitives_cpu;
const PrimitivesKernels primitives_cpu = {fill_cpu, add_cpu, copy_cpu, cast_cpu};

}  // namespace simclr
