// docs/nt-xent-kernel.md leads here from 25 naive lines, step by step.
// NT-Xent on a GPU. With u = z/|z| of anchors and v of candidates, and x_ik = u_i.v_k log2(e)/tau:
//   S-_i = sum of 2^{x_ik} over anchor i's negatives, S+_i over its positives, S_i = S-_i + S+_i
//   loss_i = log1p(S-_i / S+_i) + log S+_i - mean of s over the positives; loss = their mean
//   W_ik = 2^{x_ik} (1/S_i + 1/S_k), 0 for self and positives; a rectangle has a pass a side, with one term of it
//   du = W v + sum over positives of (their weight) v_p
//   dz = (du - (du.u)u) dloss / (counted tau |z|)
// Shapes: anchors [A,D], candidates [M,D], u and v padded to whole tiles and a depth; nothing of A x M is stored.
// Backward needs u, v, |z|, and of each anchor log S, S-/S, |P| and its term (shared/nt_xent_row.h); x it takes anew.
// Launch: for sums and weights a block of 128 threads for 64 or 128 rows and a split of the columns, and the splits are
// added up in order; elsewhere a warp a row (cuda/nt_xent_rows.h), since positives are few and taken in f64.
// Test: tests/device/test_nt_xent.cpp, against the CPU in f64, which tests/test_nt_xent.cpp compares with the plain
// loops of tests/support/nt_xent_reference.h.
//
// bf16 rows of up to 256 go through the tensor cores: u is scaled by sqrt(log2(e)/tau), so that a product of two rows
// is x_ik; W is rounded to bf16 in registers and is the next product's left side. cuda/nt_xent_sm90.cu does so in
// Hopper's way, where `wgmma` asks for it. Others go through the f32 cores, from f32 unit vectors
// (cuda/nt_xent_f32.h). Other losses of the family (NtXentForm) have other rows (shared/nt_xent_form.h) and the same
// tiles; with a hardness these take two powers of x, and W has two terms a row (TwoPowers in cuda/nt_xent_terms.h).
// Above a temperature of 0.015 no sum can overflow, and each 2^x is taken as it is; below it relative to its row's
// maximum, and so where the temperature is learned: the host, which picks the kernels, does not know it then.
#include <simclr/kernels/cuda/nt_xent_f32.h>
#include <simclr/kernels/cuda/nt_xent_mma.h>
#include <simclr/kernels/cuda/nt_xent_rows.h>
#include <simclr/kernels/cuda/nt_xent_sm90.h>
#include <simclr/kernels/nt_xent.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr std::int64_t tensor_core_width = 256;

enum class Cores { f32, tensor, warpgroups };

/// Which cores multiply u, and in which tiles.
struct Tiling {
  Cores cores;
  std::int64_t all_rows, depth;  // of u, padded
  int rows, columns;
  int forward_blocks, backward_blocks;  // that a multiprocessor holds at a time

  /// Of 64 columns of du, those that a block of the f32 cores computes; the tensor cores compute all.
  int slice_parts() const { return depth <= tile_size ? 1 : 2; }
  int slices() const {
    return cores == Cores::f32 ? static_cast<int>(blocks_for(depth, tile_size * slice_parts())) : 1;
  }
};

Tiling tiling_of(const Tensor& u) {
  if (u.shape().rank() == 3) {  // panels
    const std::int64_t depth = u.dim(0) * panel_width;
    return {Cores::warpgroups, u.dim(1), depth, sm90_rows, sm90_columns(depth), 1, 1};
  }
  const bool tensor = u.dtype() == DType::bf16;
  return {
      tensor ? Cores::tensor : Cores::f32, u.dim(0), u.dim(1), tensor && u.dim(1) <= 128 ? 128 : 64, tile_size, 3, 2};
}

/// Whether cuda/nt_xent_sm90.cu can be used, or an Error.
void check_wgmma([[maybe_unused]] Device device) {
  SIMCLR_CHECK(sm90_built,
               "nt_xent: wgmma asks for kernels of sm_90a, which this build lacks; leave it off, or configure with "
               "-DCMAKE_CUDA_ARCHITECTURES=90");
#ifndef SIMCLR_EMU
  const int capability = cuda::capability(device);
  SIMCLR_CHECK(capability == 90, "nt_xent: wgmma asks for kernels that run on sm_90 alone, this GPU is sm_", capability,
               "; leave it off");
#endif
}

bool on_tensor_cores(const Tensor& z) {
  return z.dtype() == DType::bf16 && z.dim(1) <= tensor_core_width;
}

/// Calls body(tau, what the tiles' u is multiplied by), both doubles, or LearnedNumbers.
template <class Body>
decltype(auto) dispatch_temperature(const NtXentSaved& saved, Body&& body) {
  if (saved.device_scales.defined()) {
    const double* scales = saved.device_scales.data<const double>();
    return body(LearnedNumber{scales}, LearnedNumber{scales + 1});
  }
  return body(saved.temperature, on_tensor_cores(saved.anchors) ? tensor_core_scale(saved.temperature) : 1.0);
}

/// Where the temperature is learned: reads it.
void find_temperature(NtXentSaved& saved) {
  if (!saved.logit_scale.defined()) return;
  const Device device = saved.anchors.device();
  saved.device_scales = Tensor::empty({2}, DType::f64, device);
  launch("nt_xent_temperature_kernel", device, {1, 1}, nt_xent_temperature_kernel,
         saved.logit_scale.data<const float>(), on_tensor_cores(saved.anchors), saved.device_scales.data<double>());
}

/// Unit vectors for the tiles: bf16 for the tensor cores, scaled, else f32.
Tensor tile_rows_of(const Tensor& z, const NtXentSaved& saved, Tensor& norm) {
  const std::int64_t width = z.dim(1);
  if (!on_tensor_cores(z)) return unit_rows<float>(z, padded(width, simt_depth), 1.0, norm);
  const std::int64_t depth = width <= 64 ? 64 : width <= 128 ? 128 : 256;
  return dispatch_temperature(saved, [&](auto, auto scale) {
    return saved.wgmma ? unit_rows<BFloat16, RowLayout::panels>(z, depth, scale, norm)
                       : unit_rows<BFloat16>(z, depth, scale, norm);
  });
}

/// Rows and columns of the tiles as pairs: anchors and candidates, or the other way round.
Pairs pairs_of(const NtXentSaved& saved, bool anchors_are_rows) {
  const NtXentPairs& given = saved.pairs;
  const bool grouped = given.anchor_group.defined();
  const auto count = static_cast<int>(saved.anchors.dim(0)), others = static_cast<int>(saved.candidates.dim(0));
  const int offset = given.self_offset < 0 ? no_self : static_cast<int>(given.self_offset);
  const std::int32_t* anchor_group = grouped ? given.anchor_group.data<const std::int32_t>() : nullptr;
  const std::int32_t* candidate_group = grouped ? given.candidate_group.data<const std::int32_t>() : nullptr;
  if (anchors_are_rows) return {anchor_group, candidate_group, count, others, offset, 0, others / 2};
  return {candidate_group, anchor_group, others, count, 0, offset, others / 2};
}

/// A pass over all pairs by kernels of which a multiprocessor holds `resident` blocks at a time. A block computes du in
/// one of `slices` of its columns.
TileLaunch plan_tiles(const NtXentSaved& saved, const Tiling& tiling, const Pairs& pairs, int resident, int slices) {
  const auto tiles_of = [](int rows, int size) { return (rows + size - 1) / size; };
  const Device device = saved.anchors.device();
  const int tiles = tiles_of(pairs.columns, tiling.columns), row_tiles = tiles_of(pairs.rows, tiling.rows);
  const Split split = split_columns(row_tiles * slices, tiles, resident * multiprocessors(device));
  return {device,
          dim3(static_cast<unsigned>(row_tiles), static_cast<unsigned>(split.splits), static_cast<unsigned>(slices)),
          tiles,
          split.tiles_each,
          pairs,
          saved.shifted};
}

template <class T>
Embeddings<T> embeddings_of(const Tensor& z, const Tensor& norm) {
  return {z.data<const T>(), norm.data<const double>(), static_cast<int>(z.dim(1))};
}

AnchorValues values_of(const NtXentSaved& saved) {
  return {saved.log_sum.data<double>(), saved.pull.data<double>(), saved.positives.data<std::int32_t>(),
          pull_rule(saved.form)};
}

/// Calls body(the powers that tiles take).
template <class Body>
decltype(auto) dispatch_powers(const NtXentSaved& saved, Body&& body) {
  if (saved.form.hardness > 0) return body(TwoPowers{static_cast<float>(saved.form.hardness)});
  return body(OnePower{});
}

/// Calls body(form, powers) for the kernels that take a row each.
template <class Body>
void dispatch_form(const NtXentSaved& saved, Body&& body) {
  if (saved.form.plain()) return body(PlainForm{}, OnePower{});
  dispatch_powers(saved, [&](auto powers) { body(saved.form, powers); });
}

/// Sums of e^s over the negatives of the anchors, into `partial`; of both powers where there are two.
void launch_sums(const TileLaunch& shape, const Tiling& tiling, const NtXentSaved& saved, const PartialSums& partial) {
  const Tensor &rows = saved.anchor_u, &columns = saved.candidate_u;
  if (tiling.cores == Cores::warpgroups) {
    if constexpr (sm90_built) launch_sums_sm90(shape, {rows}, {columns}, partial);
  } else if (tiling.cores == Cores::tensor) {
    dispatch_powers(saved, [&](auto powers) {
      using Powers = decltype(powers);
      dispatch_depth(tiling.depth, shape.shifted, [&](auto depth, auto shifted) {
        launch("nt_xent_sums_kernel", shape.device,
               {shape.grid, tile_threads, MmaTile<depth(), typename Powers::Term>::shared},
               nt_xent_sums_kernel<depth(), shifted(), Powers>, rows.data<BFloat16>(), columns.data<BFloat16>(),
               shape.tiles, shape.tiles_each, shape.pairs, powers, partial);
      });
    });
  } else {
    dispatch_temperature(saved, [&](auto temperature, auto) {
      dispatch_scale(temperature, saved.form, shape.shifted, [&](auto scale, auto shifted) {
        launch("nt_xent_sums_f32_kernel", shape.device, {shape.grid, tile_threads, sums_f32_shared},
               nt_xent_sums_f32_kernel<shifted(), decltype(scale)>, rows.data<float>(), columns.data<float>(),
               static_cast<int>(tiling.depth), shape.tiles, shape.tiles_each, shape.pairs, scale, partial);
      });
    });
  }
}

/// DCLW's: the positives' weights, and the mean with them.
void weighted_mean(const NtXentSaved& saved, const Tensor& losses, Tensor& loss) {
  dispatch_temperature(saved, [&](auto temperature, auto) {
    launch("nt_xent_weighted_mean_kernel", losses.device(), {1, mean_threads},
           nt_xent_weighted_mean_kernel<decltype(temperature)>, losses.data<double>(), values_of(saved),
           static_cast<int>(losses.numel()), temperature, saved.form.sigma, loss.data<float>(),
           saved.device_counted.data<double>());
  });
}

void forward_gpu(NtXentSaved& saved, const Tensor& anchors, const Tensor& candidates, Tensor& loss) {
  const Device device = anchors.device();
  if (saved.wgmma) check_wgmma(device);
  // 1 unit rows
  find_temperature(saved);
  saved.anchor_u = tile_rows_of(anchors, saved, saved.anchor_norm);
  saved.candidate_u = saved.anchor_u;
  saved.candidate_norm = saved.anchor_norm;
  if (!saved.square) saved.candidate_u = tile_rows_of(candidates, saved, saved.candidate_norm);

  // 2 sums over the negatives, in tiles, a partial one for each split of the columns
  const Tiling tiling = tiling_of(saved.anchor_u);
  const Pairs pairs = pairs_of(saved, true);
  const TileLaunch shape = plan_tiles(saved, tiling, pairs, tiling.forward_blocks, 1);
  const std::int64_t count = anchors.dim(0), all_rows = tiling.all_rows, splits = shape.grid.y;
  const std::int64_t powers = saved.form.hardness > 0 ? 2 : 1;
  const Tensor sums = Tensor::empty({powers * splits, all_rows}, DType::f64, device);
  const Tensor tops = shape.shifted ? Tensor::empty({powers * splits, all_rows}, DType::f32, device) : Tensor();
  const PartialSums partial = {sums.data<double>(), shape.shifted ? tops.data<float>() : nullptr,
                               static_cast<int>(splits), static_cast<int>(all_rows)};
  launch_sums(shape, tiling, saved, partial);

  // 3 the anchors' losses, with their positives, and what the tiles of backward need
  const Tensor losses = Tensor::empty({count}, DType::f64, device);
  saved.device_terms = Tensor::empty({all_rows, 2 * powers}, DType::f32, device);
  saved.device_counted = Tensor::empty({}, DType::f64, device);
  dispatch_float(anchors.dtype(), [&](auto zero) {
    using T = decltype(zero);
    dispatch_temperature(saved, [&](auto temperature, auto) {
      dispatch_form(saved, [&](auto form, auto of) {
        using Term = typename decltype(of)::Term;
        launch("nt_xent_loss_kernel", device, {blocks_for(all_rows, row_threads / 32), row_threads},
               nt_xent_loss_kernel<T, decltype(temperature), decltype(form), Term>, partial,
               embeddings_of<T>(anchors, saved.anchor_norm), embeddings_of<T>(candidates, saved.candidate_norm), pairs,
               temperature, form, shape.shifted, values_of(saved),
               reinterpret_cast<Term*>(saved.device_terms.raw_data()), losses.data<double>());
      });
    });
  });

  // 4 their mean
  if (saved.form.sigma > 0) return weighted_mean(saved, losses, loss);
  launch("nt_xent_mean_kernel", device, {1, mean_threads}, nt_xent_mean_kernel, losses.data<double>(),
         saved.positives.data<std::int32_t>(), static_cast<int>(count), loss.data<float>(),
         saved.device_counted.data<double>());
}

/// One side of a backward pass.
struct Gradient {
  const Tensor &z, &u, &norm;
  bool anchors;
  const void* terms;  // null where these rows are no anchors

  Gradient(const NtXentSaved& saved, bool are_anchors)
      : z(are_anchors ? saved.anchors : saved.candidates),
        u(are_anchors ? saved.anchor_u : saved.candidate_u),
        norm(are_anchors ? saved.anchor_norm : saved.candidate_norm),
        anchors(are_anchors),
        terms(are_anchors ? saved.device_terms.raw_data() : nullptr) {}

  template <class Term>
  TermsOf<Term> terms_of() const {
    return {static_cast<const Term*>(terms)};
  }
  template <class U, class Powers>
  TileSide<U, typename Powers::Term> side() const {
    return {u.data<U>(), terms_of<typename Powers::Term>()};
  }
};

/// du of `rows` over all `columns`, a part for each split.
void launch_weights(const TileLaunch& shape, const Tiling& tiling, const Gradient& rows, const Gradient& columns,
                    const NtXentSaved& saved, float* du) {
  if (tiling.cores == Cores::warpgroups) {
    if constexpr (sm90_built) {
      launch_weights_sm90(shape, {rows.u, rows.terms_of<TileTerm>()}, {columns.u, columns.terms_of<TileTerm>()}, du);
    }
  } else if (tiling.cores == Cores::tensor) {
    dispatch_powers(saved, [&](auto powers) {
      using Powers = decltype(powers);
      dispatch_depth(tiling.depth, shape.shifted, [&](auto depth, auto shifted) {
        launch("nt_xent_weights_kernel", shape.device,
               {shape.grid, tile_threads, MmaTile<depth(), typename Powers::Term>::shared},
               nt_xent_weights_kernel<depth(), shifted(), Powers>, rows.side<BFloat16, Powers>(),
               columns.side<BFloat16, Powers>(), shape.tiles, shape.tiles_each, shape.pairs, powers, du);
      });
    });
  } else {
    dispatch_temperature(saved, [&](auto temperature, auto) {
      dispatch_scale(temperature, saved.form, shape.shifted, [&](auto scale, auto shifted) {
        using Powers = PowersOf<decltype(scale)>;
        const auto run = [&](std::size_t bytes, auto kernel) {
          launch("nt_xent_weights_f32_kernel", shape.device, {shape.grid, tile_threads, bytes}, kernel,
                 rows.side<float, Powers>(), columns.side<float, Powers>(), static_cast<int>(tiling.depth), shape.tiles,
                 shape.tiles_each, shape.pairs, scale, du);
        };
        using Scale = decltype(scale);
        if (tiling.slice_parts() == 1) {
          run(weights_f32_shared<1>, nt_xent_weights_f32_kernel<1, shifted(), Scale>);
        } else {
          run(weights_f32_shared<2>, nt_xent_weights_f32_kernel<2, shifted(), Scale>);
        }
      });
    });
  }
}

/// dz of `rows` over all `columns`, and du.u of each row into `along`, unless it is undefined.
void gradient_of(const NtXentSaved& saved, const Gradient& rows, const Gradient& columns, const Tensor& dloss,
                 Tensor& dz, const Tensor& along = {}) {
  // 1 the negatives' part of du, in tiles
  const Tiling tiling = tiling_of(rows.u);
  const Pairs pairs = pairs_of(saved, rows.anchors);
  const TileLaunch shape = plan_tiles(saved, tiling, pairs, tiling.backward_blocks, tiling.slices());
  const std::int64_t split_rows = std::int64_t{shape.grid.x} * tiling.rows, width = rows.z.dim(1);
  const Tensor du = Tensor::empty({shape.grid.y, split_rows, tiling.depth}, DType::f32, dz.device());
  launch_weights(shape, tiling, rows, columns, saved, du.data<float>());

  // 2 the positives' part, and back through the normalisation
  const PartialGradient partial = {du.data<float>(), static_cast<int>(shape.grid.y), static_cast<int>(tiling.depth),
                                   split_rows * tiling.depth};
  const AnchorValues values = values_of(saved);
  const int threads = width <= 2048 ? row_threads : 32;  // `width` doubles of shared memory a warp
  dispatch_float(dz.dtype(), [&](auto zero) {
    using T = decltype(zero);
    dispatch_temperature(saved, [&](auto temperature, auto u_scale) {
      launch("nt_xent_gradient_kernel", dz.device(),
             {blocks_for(pairs.rows, threads / 32), static_cast<unsigned>(threads),
              static_cast<std::size_t>(threads / 32 * width) * sizeof(double)},
             nt_xent_gradient_kernel<T, decltype(temperature)>, partial, embeddings_of<T>(rows.z, rows.norm),
             rows.anchors ? values : AnchorValues{}, embeddings_of<T>(columns.z, columns.norm),
             columns.anchors ? values : AnchorValues{}, pairs, temperature, u_scale, dloss.data<const float>(),
             saved.device_counted.data<const double>(), dz.data<T>(), along.defined() ? along.data<double>() : nullptr);
    });
  });
}

/// d loss/d logit_scale from du.u of the anchors.
void scale_gradient(const NtXentSaved& saved, const Tensor& along, const Tensor& dloss, Tensor& dlogit_scale) {
  launch("nt_xent_temperature_gradient_kernel", dloss.device(), {1, mean_threads}, nt_xent_temperature_gradient_kernel,
         along.data<const double>(), static_cast<int>(along.numel()), scale_share(saved.square),
         dloss.data<const float>(), saved.device_counted.data<const double>(), saved.device_scales.data<const double>(),
         saved.logit_scale.data<const float>(), dlogit_scale.data<float>());
}

void backward_gpu(const NtXentSaved& saved, const Tensor& dloss, NtXentGradient& gradient) {
  const bool learned = saved.logit_scale.defined();
  const Tensor along = learned ? Tensor::empty({saved.anchors.dim(0)}, DType::f64, saved.anchors.device()) : Tensor();
  const Gradient anchors(saved, true), candidates(saved, false);
  gradient_of(saved, anchors, saved.square ? anchors : candidates, dloss, gradient.danchors, along);
  if (learned) scale_gradient(saved, along, dloss, gradient.dlogit_scale);
  if (saved.square) return;
  gradient_of(saved, candidates, anchors, dloss, gradient.dcandidates);
}

}  // namespace

extern const NtXentKernels SIMCLR_KERNELS(nt_xent);
const NtXentKernels SIMCLR_KERNELS(nt_xent) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
