// Packing on the CPU: a sequence's own steps lie together in x, and so they do in the rows.
#include <simclr/core/parallel.h>
#include <simclr/core/profile.h>
#include <simclr/kernels/cpu/own_steps.h>
#include <simclr/kernels/shared/check_lengths.h>
#include <simclr/kernels/shared/packing.h>

#include <algorithm>
#include <cstddef>

namespace simclr::kernels {
namespace {

/// body(its rows, its steps in x [N,T,C], bytes of the own ones, bytes of all) for each sequence.
template <class Body>
void for_sequences(const Tensor& x, const OwnSteps& own, const Tensor& rows, Body body) {
  const std::size_t bytes = static_cast<std::size_t>(x.dim(2)) * size_of(x.dtype());
  auto *packed_first = static_cast<std::byte*>(rows.raw_data()), *first = static_cast<std::byte*>(x.raw_data());
  const std::int64_t grain = items_a_piece({.bytes = 2 * static_cast<std::int64_t>(bytes) * x.dim(1)});
  parallel_for(x.dim(0), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i), length = static_cast<std::size_t>(own.length[at]);
      const auto steps = static_cast<std::size_t>(x.dim(1));
      body(packed_first + static_cast<std::size_t>(own.start[at]) * bytes, first + at * steps * bytes, length * bytes,
           steps * bytes);
    }
  });
}

void check_sequences(const char* op, const Tensor& x, const Tensor& lengths) {
  check_rank(op, "x", x, 3);
  check_lengths(op, x, lengths, x.dim(0), x.dim(1));
}

}  // namespace

Tensor pack_sequences(const Tensor& x, const Tensor& lengths) {
  check_sequences("pack_sequences", x, lengths);
  if (!packs(x, lengths)) return x.reshape({x.dim(0) * x.dim(1), x.dim(2)});
  const ProfileScope scope("pack sequences");
  const OwnSteps own(lengths, x.dim(0), x.dim(1));
  const Tensor rows = Tensor::empty({own.count, x.dim(2)}, x.dtype());
  for_sequences(x, own, rows, [](std::byte* packed_rows, std::byte* steps, std::size_t bytes, std::size_t) {
    std::copy_n(steps, bytes, packed_rows);
  });
  return rows;
}

void pad_sequences(const Tensor& rows, const Tensor& lengths, Tensor& x) {
  constexpr const char* op = "pad_sequences";
  check_sequences(op, x, lengths);
  SIMCLR_CHECK(rows.defined() && rows.dtype() == x.dtype() && rows.device() == x.device(), op, ": got ", describe(rows),
               " beside ", describe(x), "; dtypes and devices must be the same");
  SIMCLR_CHECK(packs(x, lengths), op, ": wants lengths, and tensors on the CPU, got ", describe(x));
  const ProfileScope scope("pad sequences");
  const OwnSteps own(lengths, x.dim(0), x.dim(1));
  check_shape(op, "rows", rows, {own.count, x.dim(2)});
  for_sequences(x, own, rows, [](std::byte* packed_rows, std::byte* steps, std::size_t bytes, std::size_t all) {
    std::copy_n(packed_rows, bytes, steps);
    std::fill(steps + bytes, steps + all, std::byte{0});
  });
}

}  // namespace simclr::kernels
