// NT-Xent's tiles as Hopper wants them (sm_90a). They compute what the kernels for mma.sync in nt_xent.cu do, whose
// head has the maths, and pass the same tests (emu_nt_xent_sm90). u comes in panels (panel.h), so that a tile is a few
// plain copies:
//   block     128 rows, whose u stays in shared memory, and a split of the columns in tiles of 128, or of 64 where the
//             depth is 256
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
      exclude_pairs(pairs, row, column_of(t) + fragment_column(), x);
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
  // 1 part the block: one warpgroup copies own rows and the columns' tiles, two compute
  const Block block(memory, tiles, tiles_each);
  if (!block.computes(rows, columns)) return;
  const int row = block.first_row + fragment_row<1>();
  RowSum<shifted> sums[2];
  FragmentC x[1][parts];
  // 2 sweep the columns of this split
  for (int t = 0; t < block.count; ++t) {
    // 3 x of a tile, whose place can be filled anew then
    block.products(x, t);
    warpgroup_wait<0>();
    settle(x[0]);
    block.release(t);
    // 4 mask: self and positives
    block.exclude(pairs, row, t, x);
    // 5 add up 2^x, row by row
    for_each_row(x, [&](const float(&values)[2 * parts], int r) { sums[r].template add<4>(values); });
  }
  // 6 four lanes' sums are one row's
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sums[r].template merge_lanes<4>();
    if (lane_index() % 4 == 0) partial.write(blockIdx.y, row + row_offset(r), sums[r]);
  }
}

template <int depth, bool shifted>
__global__ void __launch_bounds__(sm90_threads, 1)
    nt_xent_weights_sm90_kernel(Panels rows, Panels columns, int tiles, int tiles_each, Pairs pairs, float* du) {
  SIMCLR_DYNAMIC_SHARED(unsigned char, memory);
  using Block = Ring<depth>;
  constexpr int parts = Block::columns / 8;
  constexpr int width = depth < 128 ? depth : 128, widths = depth / width;  // of du, in one product
  // 1 part the block: one warpgroup copies own rows and the columns' tiles, two compute
  const Block block(memory, tiles, tiles_each);
  if (!block.computes(rows, columns)) return;
  const int row = block.first_row + fragment_row<1>();
  const TileTerm own_terms[2] = {rows.terms.at(row), rows.terms.at(row + row_offset(1))};
  FragmentC x[1][parts];
  FragmentA w[parts / 2][1];
  FragmentC sum[widths][1][width / 8] = {};
  // 2 sweep the columns of this split
  for (int t = 0; t < block.count; ++t) {
    // 3 x of a tile
    block.products(x, t);
    warpgroup_wait<0>();
    settle(x[0]);
    // 4 mask: self and positives
    block.exclude(pairs, row, t, x);
    // 5 x becomes W, and W the next product's left side
    const AnchorTerms others = {columns.terms.term == nullptr ? nullptr : block.tile_terms(t)};
    weigh<shifted>(OnePower{}, own_terms, others, fragment_column(), x);
#pragma unroll
    for (int n = 0; n < parts; n += 2) round_left(w[n / 2], x, n);
    // 6 du += W u, and the tile's place can be filled anew
    const SharedMatrix right = SharedMatrix::of_columns(block.tile(t), Block::columns * panel_row_bytes);
    warpgroup_fence();
#pragma unroll
    for (int c = 0; c < Block::columns; c += 16) {
#pragma unroll
      for (int part = 0; part < widths; ++part) {
        warpgroup_multiply(sum[part][0], w[c / 16][0], right.at(part * width * Block::columns + c * panel_width));
      }
    }
    warpgroup_commit();
    warpgroup_wait<0>();
    loads_before_copies();
    block.release(t);
  }
  // 7 this split's du
  const std::int64_t all_rows = static_cast<std::int64_t>(gridDim.x) * sm90_rows;
  float* const to = du + (blockIdx.y * all_rows + row) * depth + fragment_column();
#pragma unroll
  for (int part = 0; part < widths; ++part) {
    settle(sum[part][0]);
    for_each_row(sum[part], [&](const float(&values)[width / 4], int r) {
      store_row(values, to + row_offset(r) * depth + part * width);
    });
  }
}

// Launchers.

Panels panels_of(const PanelSide& side) {
  return {side.u.data<const BFloat16>(), static_cast<int>(side.u.dim(1)), side.terms};
}

}  // namespace

void launch_sums_sm90(const TileLaunch& shape, const PanelSide& rows, const PanelSide& columns,
                      const PartialSums& partial) {
  dispatch_depth(rows.u.dim(0) * panel_width, shape.shifted, [&](auto depth, auto shifted) {
    launch("nt_xent_sums_sm90_kernel", shape.device, {shape.grid, sm90_threads, Ring<depth()>::bytes},
           nt_xent_sums_sm90_kernel<depth(), shifted()>, panels_of(rows), panels_of(columns), shape.tiles,
           shape.tiles_each, shape.pairs, partial);
  });
}

void launch_weights_sm90(const TileLaunch& shape, const PanelSide& rows, const PanelSide& columns, float* du) {
  dispatch_depth(rows.u.dim(0) * panel_width, shape.shifted, [&](auto depth, auto shifted) {
    launch("nt_xent_weights_sm90_kernel", shape.device, {shape.grid, sm90_threads, Ring<depth()>::bytes},
           nt_xent_weights_sm90_kernel<depth(), shifted()>, panels_of(rows), panels_of(columns), shape.tiles,
           shape.tiles_each, shape.pairs, du);
  });
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
