// Embedding on a GPU. table [V,C], ids [N,T], y and dy [N,T,C]:
//   forward:  y[n,t] = table[ids[n,t]] for t < lengths[n], else 0
//   backward: dtable[v] = sum of dy over the places of v
// Backward needs ids and lengths. A place's key is its id above its number, so that no two are equal and sorting them
// lists the places of each id in their order. Sums are f64: of 128 places of one id that stand in a row of whole 128s,
// then of each id's, in order. No atomics.
// Launch: one pass for forward, 16 bytes a thread (cuda/map.h). Backward: blocks of 256 threads sort 512 keys each in
// shared memory; then sorted runs are merged two by two, a thread a key, which finds its place by bisection. A warp
// adds up 32 or more columns, 16 bytes a lane, of 128 places, and one those of an id, eight warps a block.
// Tests: tests/device/test_embedding.cpp compares with the CPU in f64; tests/test_embedding.cpp has the plain loops.
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/embedding.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>

#include <utility>

namespace simclr::kernels {
namespace {

using namespace gpu;

/// N floats, 16 bytes of them at a time.
template <int N>
__device__ inline Pack<N> load_floats(const float* from) {
  if constexpr (N <= 4) {
    return load<N>(from);
  } else {
    Pack<N> pack;
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      const Pack<4> part = load<4>(from + i);
#pragma unroll
      for (int k = 0; k < 4; ++k) pack[i + k] = part[k];
    }
    return pack;
  }
}

struct Ids {
  const std::int32_t *id, *lengths;  // lengths may be null
  std::int64_t steps, entries;

  /// The id of a place, -1 where it is padding, -2 where it is impossible.
  __device__ std::int32_t at(std::int64_t place) const {
    const std::int64_t n = place / steps, t = place - n * steps, own = length_of(lengths, n, steps);
    if (own < 0) return -2;
    if (t >= own) return -1;
    return id[place] >= 0 && id[place] < entries ? id[place] : -2;
  }
};

template <class T>
struct Forward {
  const float* table;
  T* y;
  Ids ids;
  std::int64_t width;
  template <int N>
  __device__ void at(std::int64_t i) const {
    const std::int64_t place = i / width, c = i - place * width;  // N values of one place: width is a multiple of N
    const std::int32_t id = ids.at(place);
    Pack<N> row;
    if (id >= 0) {
      row = load_floats<N>(table + id * width + c);
    } else {
#pragma unroll
      for (int k = 0; k < N; ++k) row[k] = id == -1 ? 0.0f : NAN;
    }
    store<N>(y + i, row);
  }
};

using Key = unsigned long long;  // id * 2^32 + place

constexpr int sort_threads = 256, sort_keys = 2 * sort_threads;

/// Sorts the keys of `sort_keys` places (Batcher's bitonic network). Padding gets the id V, behind all others.
__global__ void __launch_bounds__(sort_threads) embedding_sort_kernel(Ids ids, std::int64_t places, Key* keys) {
  SIMCLR_SHARED(Key, sorted, [sort_keys]);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * sort_keys;
  const int me = static_cast<int>(threadIdx.x);
  // 1 this block's keys; behind the last the highest there is
  for (int i = me; i < sort_keys; i += sort_threads) {
    const std::int64_t place = first + i;
    Key key = ~Key{0};
    if (place < places) {
      const std::int32_t id = ids.at(place);
      key = static_cast<Key>(id >= 0 ? id : ids.entries) << 32 | static_cast<Key>(place);
    }
    sorted[i] = key;
  }
  __syncthreads();
  // 2 runs of `size`, up and down in turn, from two of half of it: a pair a thread
  for (int size = 2; size <= sort_keys; size *= 2) {
    for (int step = size / 2; step > 0; step /= 2) {
      const int low = me / step * 2 * step + me % step, high = low + step;
      const Key a = sorted[low], b = sorted[high];
      const bool up = (low & size) == 0;
      if ((a > b) == up) sorted[low] = b, sorted[high] = a;
      __syncthreads();
    }
  }
  // 3 written, but what stands for no place
  for (int i = me; i < sort_keys; i += sort_threads) {
    if (first + i < places) keys[first + i] = sorted[i];
  }
}

/// The first of keys [begin, end), which are sorted, that is not below `key`.
__device__ inline std::int64_t lower_bound(const Key* keys, std::int64_t begin, std::int64_t end, Key key) {
  while (begin < end) {
    const std::int64_t middle = (begin + end) / 2;
    if (keys[middle] < key) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

/// Merges sorted runs of `run` keys two by two: behind a key are those of its own run, and as many of the other's as
/// are below it.
__global__ void __launch_bounds__(sort_threads)
    embedding_merge_kernel(const Key* from, std::int64_t n, std::int64_t run, Key* to) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * sort_threads + threadIdx.x;
  if (i >= n) return;
  const std::int64_t own = i / run * run, pair = own / (2 * run) * (2 * run);
  const std::int64_t start = own == pair ? own + run : pair;
  const std::int64_t begin = start < n ? start : n, end = begin + run < n ? begin + run : n;
  to[pair + (i - own) + (lower_bound(from, begin, end, from[i]) - begin)] = from[i];
}

/// first[v], v = 0..V: where v's keys start.
__global__ void __launch_bounds__(sort_threads)
    embedding_first_kernel(const Key* keys, std::int64_t n, std::int64_t entries, std::int32_t* first) {
  const std::int64_t v = static_cast<std::int64_t>(blockIdx.x) * sort_threads + threadIdx.x;
  if (v <= entries) first[v] = static_cast<std::int32_t>(lower_bound(keys, 0, n, static_cast<Key>(v) << 32));
}

constexpr int sum_threads = 256;
constexpr std::int64_t chunk = 128;  // places

template <class T>
struct Rows {
  const T* dy;
  const Key* keys;
  std::int64_t width;

  /// Adds N columns of the places of keys [begin, end), in order.
  template <int N>
  __device__ void add(std::int64_t begin, std::int64_t end, std::int64_t c, double (&sum)[N]) const {
#pragma unroll 4
    for (std::int64_t i = begin; i < end; ++i) {
      const auto place = static_cast<std::int64_t>(keys[i] & 0xffffffffu);
      const Pack<N> row = load<N>(dy + place * width + c);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += static_cast<double>(row[k]);
    }
  }
};

/// Row and first column of this lane: a warp has 32 N columns of one row.
template <int N>
struct Place {
  std::int64_t row, column;
  __device__ Place()
      : row(static_cast<std::int64_t>(blockIdx.x) * (sum_threads / 32) + threadIdx.x / 32),
        column((static_cast<std::int64_t>(blockIdx.y) * 32 + lane_index()) * N) {}
};

/// partial[k] = the sum of the k-th `chunk` places in sorted order, where they are all one id's.
template <int N, class T>
__global__ void __launch_bounds__(sum_threads)
    embedding_chunk_kernel(Rows<T> rows, std::int64_t chunks, double* partial) {
  const Place<N> at;
  if (at.row >= chunks || at.column >= rows.width) return;
  const std::int64_t begin = at.row * chunk, end = begin + chunk;
  if (rows.keys[begin] >> 32 != rows.keys[end - 1] >> 32) return;
  double sum[N] = {};
  rows.add(begin, end, at.column, sum);
#pragma unroll
  for (int k = 0; k < N; ++k) partial[at.row * rows.width + at.column + k] = sum[k];
}

template <int N, class T>
__global__ void __launch_bounds__(sum_threads)
    embedding_sum_kernel(Rows<T> rows, const std::int32_t* first, std::int64_t entries, const double* partial,
                         float* dtable) {
  const Place<N> at;
  if (at.row >= entries || at.column >= rows.width) return;
  const std::int64_t begin = first[at.row], end = first[at.row + 1];
  // 1 places before the first whole chunk; all of them where there is none
  const std::int64_t whole = (begin + chunk - 1) / chunk, past = end / chunk;  // chunks
  const bool chunks = whole < past;
  double sum[N] = {};
  rows.add(begin, chunks ? whole * chunk : end, at.column, sum);
  // 2 whole chunks, and the places behind them
  if (chunks) {
    for (std::int64_t b = whole; b < past; ++b) {
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += partial[b * rows.width + at.column + k];
    }
    rows.add(past * chunk, end, at.column, sum);
  }
#pragma unroll
  for (int k = 0; k < N; ++k) dtable[at.row * rows.width + at.column + k] = static_cast<float>(sum[k]);
}

// Launchers.

Ids ids_of(const Tensor& ids, const Tensor& lengths, std::int64_t entries) {
  return {ids.data<std::int32_t>(), lengths_or_null(lengths), ids.dim(1), entries};
}

void forward_gpu(const Tensor& table, const Tensor& ids, const Tensor& lengths, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Forward<T> f{table.data<float>(), y.data<T>(), ids_of(ids, lengths, table.dim(0)), table.dim(1)};
    map<vector_width<T>>(y.device(), y.numel(), f.width % vector_width<T> == 0 && aligned16(f.table, f.y), f);
  });
}

/// The places' keys, two words each, sorted.
Tensor sorted_keys(const Ids& ids, std::int64_t places, Device device) {
  const auto make = [&] { return Tensor::empty({places, 2}, DType::i32, device); };
  const auto keys = [](const Tensor& tensor) { return static_cast<Key*>(tensor.raw_data()); };
  Tensor from = make(), to = places > sort_keys ? make() : Tensor();
  launch("embedding_sort_kernel", device, {blocks_for(places, sort_keys), sort_threads}, embedding_sort_kernel, ids,
         places, keys(from));
  for (std::int64_t run = sort_keys; run < places; run *= 2) {
    launch("embedding_merge_kernel", device, {blocks_for(places, sort_threads), sort_threads}, embedding_merge_kernel,
           keys(from), places, run, keys(to));
    std::swap(from, to);
  }
  return from;
}

void backward_gpu(const Tensor& dy, const Tensor& ids, const Tensor& lengths, Tensor& dtable) {
  const std::int64_t places = ids.numel(), entries = dtable.dim(0), width = dtable.dim(1), chunks = places / chunk;
  const Device device = dy.device();
  const Tensor sorted = sorted_keys(ids_of(ids, lengths, entries), places, device);
  const auto* keys = static_cast<const Key*>(sorted.raw_data());
  const Tensor first = Tensor::empty({entries + 1}, DType::i32, device);
  launch("embedding_first_kernel", device, {blocks_for(entries + 1, sort_threads), sort_threads},
         embedding_first_kernel, keys, places, entries, first.data<std::int32_t>());
  const Tensor partial = Tensor::empty({chunks, width}, DType::f64, device);
  const auto add_up = [&](auto zero, auto vector) {
    using T = decltype(zero);
    constexpr int N = decltype(vector)::value;
    const Rows<T> rows{dy.data<T>(), keys, width};
    const auto shape = [&](std::int64_t count) {
      return LaunchShape{dim3(blocks_for(count, sum_threads / 32), blocks_for(width, 32 * N)), sum_threads};
    };
    launch("embedding_chunk_kernel", device, shape(chunks), embedding_chunk_kernel<N, T>, rows, chunks,
           partial.data<double>());
    launch("embedding_sum_kernel", device, shape(entries), embedding_sum_kernel<N, T>, rows, first.data<std::int32_t>(),
           entries, partial.data<double>(), dtable.data<float>());
  };
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (width % vector_width<T> == 0 && aligned16(dy.data<T>())) {
      add_up(zero, std::integral_constant<int, vector_width<T>>{});
    } else {
      add_up(zero, std::integral_constant<int, 1>{});
    }
  });
}

}  // namespace

extern const EmbeddingKernels SIMCLR_KERNELS(embedding);
const EmbeddingKernels SIMCLR_KERNELS(embedding) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
