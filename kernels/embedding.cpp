// Embedding on the CPU.
//   forward:  y[n,t] = table[ids[n,t]] for t < lengths[n], else 0: a copy a place
//   backward: dtable[v] = sum of dy over the places of v. A counting sort lists the places by id, in their order; then
//   each row of dtable is one piece's alone, so no two threads write one row, and the order of its sum is that of the
//   places.
#include <simclr/core/parallel.h>
#include <simclr/kernels/embedding.h>
#include <simclr/kernels/shared/check_lengths.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace simclr::kernels {
namespace {

/// body(place, id) for all places that are no padding, in order. Throws Error for an id that is not in the table.
template <class Body>
void for_places(const char* op, const Tensor& ids, const Tensor& lengths, std::int64_t entries, Body body) {
  const std::int32_t *id = ids.data<std::int32_t>(), *length = lengths_or_null(lengths);
  const std::int64_t steps = ids.dim(1);
  for (std::int64_t n = 0; n < ids.dim(0); ++n) {
    const std::int64_t own = length_of(length, n, steps);
    for (std::int64_t t = 0; t < own; ++t) {
      const std::int64_t place = n * steps + t;
      SIMCLR_CHECK(id[place] >= 0 && id[place] < entries, op, ": id ", id[place], " of sequence ", n, ", step ", t,
                   ", is outside 0..", entries - 1);
      body(place, id[place]);
    }
  }
}

void forward_cpu(const Tensor& table_tensor, const Tensor& ids, const Tensor& lengths, Tensor& y_tensor) {
  for_places("embedding_forward", ids, lengths, table_tensor.dim(0), [](std::int64_t, std::int32_t) {});
  dispatch_float(y_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* table = table_tensor.data<T>();
    const std::int32_t *id = ids.data<std::int32_t>(), *length = lengths_or_null(lengths);
    const std::int64_t steps = ids.dim(1), width = table_tensor.dim(1);
    T* y = y_tensor.data<T>();
    parallel_for(ids.numel(), items_a_piece({.bytes = 8 * width}), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t place = begin; place < end; ++place) {
        T* to = y + place * width;
        if (place % steps < length_of(length, place / steps, steps)) {
          std::copy_n(table + id[place] * width, width, to);
        } else {
          std::fill_n(to, width, T{0});
        }
      }
    });
  });
}

/// The places of id v are place[first[v]] .. place[first[v + 1] - 1], in ascending order.
struct SortedPlaces {
  std::vector<std::int64_t> first;
  std::vector<std::int32_t> place;
};

SortedPlaces sorted_places(const Tensor& ids, const Tensor& lengths, std::int64_t entries) {
  constexpr const char* op = "embedding_backward";
  // The places of v are counted at v + 2, so that first[v + 1] is where v starts, until it has moved on to its end.
  SortedPlaces sorted{std::vector<std::int64_t>(static_cast<std::size_t>(entries + 2)), {}};
  std::int64_t* first = sorted.first.data();
  for_places(op, ids, lengths, entries, [=](std::int64_t, std::int32_t id) { ++first[id + 2]; });
  for (std::int64_t v = 2; v < entries + 2; ++v) first[v] += first[v - 1];
  sorted.place.resize(static_cast<std::size_t>(first[entries + 1]));
  std::int32_t* place = sorted.place.data();
  for_places(op, ids, lengths, entries,
             [=](std::int64_t at, std::int32_t id) { place[first[id + 1]++] = static_cast<std::int32_t>(at); });
  return sorted;
}

void backward_cpu(const Tensor& dy_tensor, const Tensor& ids, const Tensor& lengths, Tensor& dtable_tensor) {
  const std::int64_t entries = dtable_tensor.dim(0), width = dtable_tensor.dim(1);
  const SortedPlaces sorted = sorted_places(ids, lengths, entries);
  const std::int64_t rows_added = 1 + ids.numel() / std::max<std::int64_t>(entries, 1);  // for an entry
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* dy = dy_tensor.data<T>();
    T* dtable = dtable_tensor.data<T>();
    parallel_for(entries, items_a_piece({.bytes = 8 * width * rows_added}), [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> total(static_cast<std::size_t>(width));
      double* sum = total.data();
      for (std::int64_t v = begin; v < end; ++v) {
        T* to = dtable + v * width;
        const std::int64_t from = sorted.first[v], stop = sorted.first[v + 1];
        if (from == stop) {
          std::fill_n(to, width, T{0});
          continue;
        }
        std::fill_n(sum, width, 0.0);
        for (std::int64_t i = from; i < stop; ++i) {
          const T* row = dy + sorted.place[i] * width;
#pragma omp simd
          for (std::int64_t c = 0; c < width; ++c) sum[c] += static_cast<double>(row[c]);
        }
        for (std::int64_t c = 0; c < width; ++c) to[c] = static_cast<T>(sum[c]);
      }
    });
  });
}

void check_ids(const char* op, const Tensor& table, const Tensor& ids, const Tensor& lengths) {
  check_rank(op, "the table", table, 2);
  SIMCLR_CHECK(ids.defined() && ids.dtype() == DType::i32 && ids.rank() == 2 && ids.device() == table.device(), op,
               ": ids must be i32 [N,T] on ", table.device(), ", got ", describe(ids));
  SIMCLR_CHECK(ids.numel() <= std::numeric_limits<std::int32_t>::max(), op, ": the ids of ", ids.shape(),
               " are more than can be numbered");
  check_lengths(op, table, lengths, ids.dim(0), ids.dim(1));
}

}  // namespace

extern const EmbeddingKernels embedding_cpu;
const EmbeddingKernels embedding_cpu = {forward_cpu, backward_cpu};

Tensor embedding_forward(const Tensor& table, const Tensor& ids, const Tensor& lengths, DType dtype) {
  constexpr const char* op = "embedding_forward";
  SIMCLR_CHECK(table.defined() && computes_with(table.device(), dtype) && table.dtype() == parameter_dtype(dtype), op,
               ": no ", dtype, " from a table ", describe(table),
               "; f32 or f64 of the table's dtype on the CPU, f32 or bf16 of an f32 table on a GPU");
  check_ids(op, table, ids, lengths);
  Tensor y = Tensor::empty({ids.dim(0), ids.dim(1), table.dim(1)}, dtype, table.device());
  embedding_slot.on(table.device()).forward(table, ids, lengths, y);
  return y;
}

void embedding_backward(const Tensor& dy, const Tensor& ids, const Tensor& lengths, Tensor& dtable) {
  constexpr const char* op = "embedding_backward";
  check_floats(op, dy);
  check_parameters(op, dy, dtable);
  check_ids(op, dtable, ids, lengths);
  check_shape(op, "dy", dy, {ids.dim(0), ids.dim(1), dtable.dim(1)});
  embedding_slot.on(dy.device()).backward(dy, ids, lengths, dtable);
}

}  // namespace simclr::kernels
