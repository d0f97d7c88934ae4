// NT-Xent's tiles as Hopper wants them (sm_90a); the maths is in nt_xent.h, the plan in nt_xent.cu, whose kernels for
// mma.sync compute the same. u comes in panels (panel.h), so that a tile is a few plain copies:
//   block     128 rows, whose u stays in shared memory, and a range of columns in tiles of 128, or 64 at a depth of 256
//   warps     one thread starts the bulk copies of four tiles ahead; two warpgroups compute, 64 rows each
//   forward   one warpgroup's powers can be taken while the other one's x is multiplied
//   backward  the same with W u of a tile and x of the next one. W goes from the accumulators' registers to the next
//             product's left side, the lanes' layouts being the same; the other side's terms come with its u
#include <simclr/kernels/cuda/nt_xent_sm90.h>
#include <simclr/kernels/cuda/warpgroup.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {
namespace {

constexpr int consumers = 2;  // warpgroups that compute
constexpr int sm90_threads = (consumers + 1) * warpgroup_threads;
constexpr int stages = 4;
static_assert(sm90_rows == 64 * consumers);

/// One side in global memory.
struct Panels {
  const BFloat16* u;
  int all_rows;
  AnchorTerms terms;

  __device__ const BFloat16* rows_from(int panel, int row) const {
    return u + (static_cast<std::int64_t>(panel) * all_rows + row) * panel_width;
  }
};

/// The first row of this thread's fragments within its block.
__device__ int warpgroup_row() {
  return static_cast<int>(threadIdx.x) / 32 * 16 + lane_index() / 4;
}
__device__ int warpgroup_column() {
  return lane_index() % 4 * 2;
}

/// What a block shares, and how its warpgroups pass tiles on.
template <int depth>
struct Ring {
  static constexpr int panels = depth / panel_width, columns = sm90_columns(depth);
  static constexpr int own_values = sm90_rows * depth, tile_values = columns * depth;
  static constexpr std::size_t bytes = panel_alignment + (own_values + stages * tile_values) * sizeof(BFloat16) +
                                       stages * columns * sizeof(TileTerm) + (2 * stages + 1) * sizeof(CopyBarrier);

  BFloat16 *own, *tiles;
  TileTerm* terms;
  CopyBarrier *own_there, *there, *free;
  int first_row, first_column, count;  // of the block's rows and tiles

  __device__ Ring(unsigned char* memory, int all_tiles, int tiles_each) {
    first_row = static_cast<int>(blockIdx.x) * sm90_rows;
    first_column = static_cast<int>(blockIdx.y) * tiles_each * columns;
    count = min(tiles_each, all_tiles - static_cast<int>(blockIdx.y) * tiles_each);
    const std::size_t skip =
        (panel_alignment - reinterpret_cast<std::uintptr_t>(memory) % panel_alignment) % panel_alignment;
    own = reinterpret_cast<BFloat16*>(memory + skip);
    tiles = own + own_values;
    terms = reinterpret_cast<TileTerm*>(tiles + stages * tile_values);
    own_there = reinterpret_cast<CopyBarrier*>(terms + stages * columns);
    there = own_there + 1;
    free = there + stages;
    if (threadIdx.x == 0) {
      barrier_init(*own_there, 1);
      for (int s = 0; s < stages; ++s) {
        barrier_init(there[s], 1);
        barrier_init(free[s], consumers * warpgroup_threads / 32);
      }
      barriers_made();
    }
    __syncthreads();
  }

  __device__ int column_of(int t) const { return first_column + t * columns; }
  __device__ BFloat16* tile(int t) const { return tiles + t % stages * tile_values; }
  __device__ const TileTerm* tile_terms(int t) const { return terms + t % stages * columns; }

  /// Parts the block: false in the warpgroup that copies, when it has started all copies.
  __device__ bool computes(const Panels& rows, const Panels& others) const {
    if (threadIdx.x < consumers * warpgroup_threads) {
      take_registers<240>();
      barrier_wait(*own_there, 0);
      return true;
    }
    release_registers<24>();
    if (threadIdx.x == consumers * warpgroup_threads) copy(rows, others);
    return false;
  }

  __device__ void copy(const Panels& rows, const Panels& others) const {
    barrier_expect(*own_there, own_values * sizeof(BFloat16));
    for (int p = 0; p < panels; ++p) {
      copy_bulk(own + p * sm90_rows * panel_width, rows.rows_from(p, first_row), sm90_rows * panel_row_bytes,
                *own_there);
    }
    const bool with_terms = others.terms.term != nullptr;
    for (int t = 0; t < count; ++t) {
      const int column = column_of(t);
      CopyBarrier& arrival = there[t % stages];
      barrier_wait(free[t % stages], (t / stages + 1) % 2);
      barrier_expect(arrival, tile_values * sizeof(BFloat16) + (with_terms ? columns * sizeof(TileTerm) : 0));
      for (int p = 0; p < panels; ++p) {
        copy_bulk(tile(t) + p * columns * panel_width, others.rows_from(p, column), columns * panel_row_bytes, arrival);
      }
      if (with_terms) {
        copy_bulk(terms + t % stages * columns, others.terms.term + column, columns * sizeof(TileTerm), arrival);
      }
    }
  }

  // By a warpgroup that computes.

  /// The same register for all lanes, so that the compiler knows descriptors as uniform.
  __device__ static int warpgroup() {
    return __shfl_sync(all_lanes, static_cast<int>(threadIdx.x) / warpgroup_threads, 0);
  }

  /// Starts x = this warpgroup's rows times the columns of tile t, a group of products.
  __device__ void products(FragmentC (&x)[1][columns / 8], int t) const {
    barrier_wait(there[t % stages], t / stages % 2);
    const SharedMatrix left = SharedMatrix::of_rows(own + warpgroup() * 64 * panel_width);
    const SharedMatrix right = SharedMatrix::of_rows(tile(t));
    warpgroup_fence();
#pragma unroll
    for (int k = 0; k < depth; k += 16) {
      const int panel = k / panel_width;
      warpgroup_multiply(x[0], left.at(panel * sm90_rows * panel_width + k % panel_width),
                         right.at(panel * columns * panel_width + k % panel_width), k > 0);
    }
    warpgroup_commit();
  }

  /// x = -infinity for the pairs of tile t that are no negatives.
  __device__ void exclude(const Pairs& pairs, int row, int t, FragmentC (&x)[1][columns / 8]) const {
    if (pairs.touch(first_row, sm90_rows, column_of(t), columns)) {
      exclude_pairs(pairs, row, column_of(t) + warpgroup_column(), x);
    }
  }

  /// This warp reads tile t no more.
  __device__ void release(int t) const {
    __syncwarp();
    if (lane_index() == 0) barrier_arrive(free[t % stages]);
  }
};

template <int depth, bool shifted>
__global__ void __launch_bounds__(sm90_threads, 1)
    nt_xent_sums_sm90_kernel(Panels rows, Panels columns, int tiles, int tiles_each, Pairs pairs, PartialSums partial) {
  SIMCLR_DYNAMIC_SHARED(unsigned char, memory);
  using Block = Ring<depth>;
  constexpr int parts = Block::columns / 8;
  const Block block(memory, tiles, tiles_each);
  if (!block.computes(rows, columns)) return;
  const int row = block.first_row + warpgroup_row();
  RowSum<shifted> sums[2];
  FragmentC x[1][parts];
  for (int t = 0; t < block.count; ++t) {
    block.products(x, t);
    warpgroup_wait<0>();
    settle(x[0]);
    block.release(t);
    block.exclude(pairs, row, t, x);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float values[2 * parts];
#pragma unroll
      for (int n = 0; n < 2 * parts; ++n) values[n] = x[0][n / 2].value[2 * half + n % 2];
      sums[half].rise(values);
      float sum[4] = {};  // chains that do not wait for each other
#pragma unroll
      for (int n = 0; n < 2 * parts; ++n) sum[n % 4] += fast_exp2(values[n] - sums[half].top);
      sums[half].sum += static_cast<double>((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    sums[half].template merge_lanes<4>();
    if (lane_index() % 4 == 0) partial.write(blockIdx.y, row + 8 * half, sums[half]);
  }
}

template <int depth, bool shifted>
__global__ void __launch_bounds__(sm90_threads, 1)
    nt_xent_weights_sm90_kernel(Panels rows, Panels columns, int tiles, int tiles_each, Pairs pairs, float* du) {
  SIMCLR_DYNAMIC_SHARED(unsigned char, memory);
  using Block = Ring<depth>;
  constexpr int parts = Block::columns / 8;
  constexpr int width = depth < 128 ? depth : 128, widths = depth / width;  // of du, in one product
  const Block block(memory, tiles, tiles_each);
  if (!block.computes(rows, columns)) return;
  const int row = block.first_row + warpgroup_row();
  const TileTerm own_terms[2] = {rows.terms.at(row), rows.terms.at(row + 8)};
  FragmentC x[1][parts];
  FragmentA w[parts / 2];
  FragmentC sum[widths][width / 8] = {};
  for (int t = 0; t < block.count; ++t) {
    block.products(x, t);
    warpgroup_wait<0>();
    settle(x[0]);
    block.exclude(pairs, row, t, x);
    const AnchorTerms others = {columns.terms.term == nullptr ? nullptr : block.tile_terms(t) + warpgroup_column()};
#pragma unroll
    for (int n = 0; n < parts; ++n) {
      const TileTerm pair[2] = {others.at(8 * n), others.at(8 * n + 1)};
#pragma unroll
      for (int v = 0; v < 4; ++v) {
        x[0][n].value[v] = weight<shifted>(x[0][n].value[v], own_terms[v / 2], pair[v % 2]);
      }
    }
#pragma unroll
    for (int n = 0; n < parts; n += 2) {
      const float *left = x[0][n].value, *right = x[0][n + 1].value;
      w[n / 2] = {{pack_bf16(left[0], left[1]), pack_bf16(left[2], left[3]), pack_bf16(right[0], right[1]),
                   pack_bf16(right[2], right[3])}};
    }
    const SharedMatrix right = SharedMatrix::of_columns(block.tile(t), Block::columns * panel_row_bytes);
    warpgroup_fence();
#pragma unroll
    for (int c = 0; c < Block::columns; c += 16) {
#pragma unroll
      for (int part = 0; part < widths; ++part) {
        warpgroup_multiply(sum[part], w[c / 16], right.at(part * width * Block::columns + c * panel_width));
      }
    }
    warpgroup_commit();
    warpgroup_wait<0>();
    loads_before_copies();
    block.release(t);
  }
#pragma unroll
  for (int part = 0; part < widths; ++part) settle(sum[part]);

  const std::int64_t all_rows = static_cast<std::int64_t>(gridDim.x) * sm90_rows;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float* const to = du + (blockIdx.y * all_rows + row + 8 * half) * depth + warpgroup_column();
#pragma unroll
    for (int d = 0; d < depth / 8; ++d) {
      const float* value = sum[d * 8 / width][d % (width / 8)].value + 2 * half;
      store<2>(to + 8 * d, Pack<2>{{value[0], value[1]}});
    }
  }
}

// Launchers.

Panels panels_of(const PanelSide& side) {
  return {side.u.data<const BFloat16>(), static_cast<int>(side.u.dim(1)), side.terms};
}

/// Calls body(depth, shifted), both constants.
template <class Body>
void dispatch(const PanelSide& rows, bool shifted, Body&& body) {
  const auto with = [&](auto depth) { shifted ? body(depth, std::true_type{}) : body(depth, std::false_type{}); };
  switch (rows.u.dim(0)) {
    case 1: return with(std::integral_constant<int, 64>{});
    case 2: return with(std::integral_constant<int, 128>{});
    default: return with(std::integral_constant<int, 256>{});
  }
}

}  // namespace

void launch_sums_sm90(const Sm90Launch& shape, const PanelSide& rows, const PanelSide& columns,
                      const PartialSums& partial) {
  dispatch(rows, shape.shifted, [&](auto depth, auto shifted) {
    launch("nt_xent_sums_sm90_kernel", shape.device, {shape.grid, sm90_threads, Ring<depth()>::bytes},
           nt_xent_sums_sm90_kernel<depth(), shifted()>, panels_of(rows), panels_of(columns), shape.tiles,
           shape.tiles_each, shape.pairs, partial);
  });
}

void launch_weights_sm90(const Sm90Launch& shape, const PanelSide& rows, const PanelSide& columns, float* du) {
  dispatch(rows, shape.shifted, [&](auto depth, auto shifted) {
    launch("nt_xent_weights_sm90_kernel", shape.device, {shape.grid, sm90_threads, Ring<depth()>::bytes},
           nt_xent_weights_sm90_kernel<depth(), shifted()>, panels_of(rows), panels_of(columns), shape.tiles,
           shape.tiles_each, shape.pairs, du);
  });
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
