// Columns on the CPU: a copy a row.
#include <simclr/core/parallel.h>
#include <simclr/kernels/columns.h>
#include <simclr/kernels/shared/check.h>

#include <algorithm>

namespace simclr::kernels {
namespace {

void copy_cpu(const Tensor& from_tensor, std::int64_t from_begin, Tensor& to_tensor, std::int64_t to_begin,
              std::int64_t count) {
  dispatch_float(from_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t from_width = from_tensor.dim(-1), to_width = to_tensor.dim(-1);
    const T* from = from_tensor.data<T>() + from_begin;
    T* to = to_tensor.data<T>() + to_begin;
    parallel_for(from_tensor.numel() / from_width, items_a_piece({.bytes = 2 * count * size_of(from_tensor.dtype())}),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row) {
                     std::copy_n(from + row * from_width, count, to + row * to_width);
                   }
                 });
  });
}

void check_columns(const char* what, const Tensor& tensor, std::int64_t begin, std::int64_t count) {
  SIMCLR_CHECK(begin >= 0 && count >= 0 && begin <= tensor.dim(-1) - count, "copy_columns: columns ", begin, " .. ",
               begin + count, " of ", what, " ", describe(tensor), ", which has ", tensor.dim(-1));
}

}  // namespace

extern const ColumnsKernels columns_cpu;
const ColumnsKernels columns_cpu = {copy_cpu};

void copy_columns(const Tensor& from, std::int64_t from_begin, Tensor& to, std::int64_t to_begin, std::int64_t count) {
  constexpr const char* op = "copy_columns";
  check_floats(op, from, to);
  const bool alike = from.rank() >= 1 && from.rank() == to.rank() &&
                     std::equal(from.shape().begin(), from.shape().end() - 1, to.shape().begin());
  SIMCLR_CHECK(alike, op, ": from ", describe(from), " to ", describe(to),
               "; all dimensions but the last must be the same");
  check_columns("from", from, from_begin, count);
  check_columns("to", to, to_begin, count);
  SIMCLR_CHECK(!overlap(from, to), op, ": from and to share memory; write to another tensor");
  if (count == 0 || from.numel() == 0) return;
  columns_slot.on(from.device()).copy(from, from_begin, to, to_begin, count);
}

}  // namespace simclr::kernels
