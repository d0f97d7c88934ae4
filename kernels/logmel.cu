// Log-mel spectrograms on a GPU: the power of a frame does not depend on where its time begins, and the window is even
// about the frame's middle, so with e, o [j] = x'[middle + d] +- x'[middle - d], d = j (or j + 1/2 where W is odd)
//   p[k] = (sum over j < W / 2 of w_d cos(2 pi d k / fft) e[j])^2 + (sum of w_d sin(2 pi d k / fft) o[j])^2
// which is two matrix products of half the window's length. Then mel m is the sum of b[m,k] p[k] over its band, and
// y = log max(mel, floor).
// waveforms [N,S], transform [2,B,J]: w_d cos and w_d sin, B bins from the first that a mel is made of and J pairs,
// both padded with zeros to whole tiles; y [N,frames,mels]. Nothing is kept: there is no backward pass. Launch: 64
// frames a block, of all sequences, 256 threads; a thread has 4 frames x 4 bins of a tile of 64 x 64, both sums. Pairs
// pass through shared memory 32 at a time; what they add up to is added to the sums of all pairs, which so round less
// often. Tests: tests/device/test_logmel.cpp compares with the CPU in f64; tests/test_logmel.cpp has the plain loops.
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/logmel.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>
#include <simclr/kernels/shared/logmel.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int logmel_threads = 256;
constexpr int tile = 64;                  // frames, and bins, of a block's product
constexpr int stage = 32;                 // pairs in shared memory
constexpr int stage_pitch = stage + 4;    // keeps the lanes of a load in different banks
constexpr int side = tile * stage_pitch;  // floats of one of the four matrices of a stage
constexpr int tile_pitch = tile + 1;
constexpr int each = 4;  // frames, and bins, of a thread: 16 apart

struct Waves {
  const float* samples;
  const std::int32_t* lengths;  // may be null
  std::int64_t size, frames, count, hop;
  int pairs, odd;  // W / 2, W % 2
};

struct Bank {
  const float *basis, *weights;
  const std::int32_t* bands;
  int first_bin, bins, padded_bins, padded_pairs, mels;
  float floor;
};

/// A frame of the block.
struct Frame {
  const float* wave;
  std::int64_t own;     // samples; 0: silence, -1: impossible
  std::int64_t middle;  // where d = 0, or -1/2

  __device__ float sample(std::int64_t i) const {
    if (own <= 0) return own < 0 ? NAN : 0.0f;
    return wave[mirrored(i, own)];
  }
};

__device__ Frame frame_of(const Waves& waves, std::int64_t index) {
  if (index >= waves.count) return {waves.samples, 0, 0};
  const std::int64_t n = index / waves.frames, t = index - n * waves.frames;
  const std::int64_t own = length_of(waves.lengths, n, waves.size);
  return {waves.samples + n * waves.size, own >= 0 && t >= frames_of(own, waves.hop) ? 0 : own,
          t * waves.hop - waves.odd};
}

/// The sums and the differences of pairs [first, first + stage) of all frames of the block.
__device__ void stage_frames(const Waves& waves, const Frame* frames, int first, float* sums, float* differences) {
  for (int v = static_cast<int>(threadIdx.x); v < tile * stage; v += logmel_threads) {
    const int frame = v / stage, j = v % stage;
    float right = 0, left = 0;
    if (first + j < waves.pairs) {
      const Frame& at = frames[frame];
      right = at.sample(at.middle + waves.odd + first + j);
      left = at.sample(at.middle - first - j);
    }
    sums[frame * stage_pitch + j] = right + left;
    differences[frame * stage_pitch + j] = right - left;
  }
}

/// The same pairs of the cosines and the sines of a tile of bins.
__device__ void stage_basis(const Bank& bank, int first_bin, int first, float* cosines, float* sines) {
  for (int v = static_cast<int>(threadIdx.x); v < tile * (stage / 4); v += logmel_threads) {
    const int bin = v / (stage / 4), j = v % (stage / 4) * 4;
    const float* from = bank.basis + static_cast<std::int64_t>(first_bin + bin) * bank.padded_pairs + first + j;
    store<4>(cosines + bin * stage_pitch + j, load<4>(from));
    store<4>(sines + bin * stage_pitch + j,
             load<4>(from + static_cast<std::int64_t>(bank.padded_bins) * bank.padded_pairs));
  }
}

/// dots[i][k] += the stage's part of row i of a times row k of b; both are this thread's.
__device__ void multiply_stage(const float* a, const float* b, float (&dots)[each][each]) {
  const float *const rows = a + static_cast<int>(threadIdx.x) / 16 * stage_pitch, *const columns =
                                                                                      b +
                                                                                      static_cast<int>(threadIdx.x) %
                                                                                          16 * stage_pitch;
  float part[each][each] = {};
#pragma unroll 2
  for (int j = 0; j < stage; j += 4) {
    Pack<4> x[each], y[each];
#pragma unroll
    for (int i = 0; i < each; ++i) x[i] = load<4>(rows + 16 * i * stage_pitch + j);
#pragma unroll
    for (int k = 0; k < each; ++k) y[k] = load<4>(columns + 16 * k * stage_pitch + j);
#pragma unroll
    for (int i = 0; i < each; ++i) {
#pragma unroll
      for (int k = 0; k < each; ++k) {
#pragma unroll
        for (int n = 0; n < 4; ++n) part[i][k] += x[i][n] * y[k][n];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < each; ++i) {
#pragma unroll
    for (int k = 0; k < each; ++k) dots[i][k] += part[i][k];
  }
}

/// Adds a tile of powers [64 frames,64 bins from first_bin on] to the mels [mels,64 frames]. A warp has 32 frames of a
/// mel.
__device__ void add_to_mels(const Bank& bank, const float* power, int first_bin, float* mels) {
  const int frame = static_cast<int>(threadIdx.x) % tile;
  for (int m = static_cast<int>(threadIdx.x) / tile; m < bank.mels; m += logmel_threads / tile) {
    const int begin = bank.bands[3 * m] - bank.first_bin - first_bin, end = begin + bank.bands[3 * m + 1];
    const float* weights = bank.weights + bank.bands[3 * m + 2] - begin;
    float sum = mels[m * tile_pitch + frame];
    for (int k = max(begin, 0); k < min(end, tile); ++k) sum += weights[k] * power[frame * tile_pitch + k];
    mels[m * tile_pitch + frame] = sum;
  }
}

__global__ void __launch_bounds__(logmel_threads)
    logmel_kernel(Waves waves, Bank bank, float* y, std::int32_t* frames_out) {
  SIMCLR_DYNAMIC_SHARED(float, memory);
  SIMCLR_SHARED(Frame, frames, [tile]);
  float *const sums = memory, *const differences = sums + side, *const cosines = differences + side,
               *const sines = cosines + side, *const mels = sines + side;
  float* const power = memory;  // where the stage was
  const int thread = static_cast<int>(threadIdx.x), row = thread / 16, column = thread % 16;
  const std::int64_t first_frame = static_cast<std::int64_t>(blockIdx.x) * tile;
  // 1 where the frames are, and how many a sequence has
  if (thread < tile) {
    const std::int64_t index = first_frame + thread, n = index / waves.frames;
    frames[thread] = frame_of(waves, index);
    if (frames_out != nullptr && index < waves.count && index == n * waves.frames) {
      frames_out[n] = static_cast<std::int32_t>(frames_of(length_of(waves.lengths, n, waves.size), waves.hop));
    }
  }
  for (int i = thread; i < bank.mels * tile_pitch; i += logmel_threads) mels[i] = 0;
  for (int bin = 0; bin < bank.bins; bin += tile) {
    // 2 the products of a tile of bins
    float re[each][each] = {}, im[each][each] = {};
    for (int pair = 0; pair < waves.pairs; pair += stage) {
      __syncthreads();  // the frames are there, and nobody reads the stage, nor the powers
      stage_frames(waves, frames, pair, sums, differences);
      stage_basis(bank, bin, pair, cosines, sines);
      __syncthreads();  // the stage is there
      multiply_stage(sums, cosines, re);
      multiply_stage(differences, sines, im);
    }
    __syncthreads();  // nobody reads the stage, which the powers overwrite
                      // 3 the powers
#pragma unroll
    for (int i = 0; i < each; ++i) {
#pragma unroll
      for (int k = 0; k < each; ++k) {
        power[(row + 16 * i) * tile_pitch + column + 16 * k] = re[i][k] * re[i][k] + im[i][k] * im[i][k];
      }
    }
    __syncthreads();  // the powers are there
    // 4 into the mels
    add_to_mels(bank, power, bin, mels);
  }
  __syncthreads();  // the mels are there
  // 5 the logarithm; NaN stays NaN
  for (int i = thread; i < tile * bank.mels; i += logmel_threads) {
    const int frame = i / bank.mels, m = i - frame * bank.mels;
    if (first_frame + frame >= waves.count) break;
    const float value = mels[m * tile_pitch + frame];
    y[first_frame * bank.mels + i] = logf(value < bank.floor ? bank.floor : value);
  }
}

// The host's side.

std::int64_t whole(std::int64_t n, std::int64_t of) {
  return (n + of - 1) / of * of;
}

void tables_gpu(LogmelPlan& plan) {
  const LogmelOptions& o = plan.options;
  const std::int64_t bins = whole(plan.bins, tile), pairs = whole(o.window / 2, stage), odd = o.window % 2;
  constexpr std::int64_t most = std::int64_t{1} << 27;
  SIMCLR_CHECK(2 * bins * pairs <= most, "logmel: tables of ", 2 * bins * pairs, " values on a GPU, at most ", most,
               " are possible; take a smaller fft or window, or make log-mels on the CPU");
  std::vector<double> values(static_cast<std::size_t>(2 * bins * pairs), 0.0);
  const auto angle = [](std::int64_t part, std::int64_t of) {
    return 2 * std::numbers::pi * static_cast<double>(part % of) / static_cast<double>(of);
  };
  for (std::int64_t b = 0; b < plan.bins; ++b) {
    for (std::int64_t j = 0; j < o.window / 2; ++j) {
      // d of the middle of the window, where it is 1; with an even W the middle is its own partner
      const std::int64_t twice = 2 * j + odd;
      const double window = (0.5 + 0.5 * std::cos(angle(twice, 2 * o.window))) * (twice == 0 ? 0.5 : 1.0);
      const double turn = angle((plan.first_bin + b) * twice, 2 * o.fft);
      const auto at = static_cast<std::size_t>(b * pairs + j);
      values[at] = window * std::cos(turn);
      values[static_cast<std::size_t>(bins * pairs) + at] = window * std::sin(turn);
    }
  }
  plan.transform = Tensor::from(values, {2, bins, pairs});
}

void forward_gpu(const Tensor& waveforms, const Tensor& lengths, const LogmelPlan& plan, Tensor& y, Tensor& frames) {
  const LogmelOptions& o = plan.options;
  SIMCLR_CHECK(
      plan.transform.shape() == (Shape{2, whole(plan.bins, tile), whole(o.window / 2, stage)}),
      "logmel: the plan's tables are of another window or fft than its options; make another by logmel_plan()");
  const std::int64_t count = y.dim(0) * y.dim(1);
  const Waves waves{
      waveforms.data<const float>(),  lengths_or_null(lengths),      waveforms.dim(1), y.dim(1), count, o.hop,
      static_cast<int>(o.window / 2), static_cast<int>(o.window % 2)};
  const Bank bank{plan.transform.data<const float>(),
                  plan.weights.data<const float>(),
                  plan.bands.data<const std::int32_t>(),
                  static_cast<int>(plan.first_bin),
                  static_cast<int>(plan.bins),
                  static_cast<int>(plan.transform.dim(1)),
                  static_cast<int>(plan.transform.dim(2)),
                  static_cast<int>(o.mels),
                  static_cast<float>(floor_power(o.floor, o.window))};
  const auto shared = (4 * side + static_cast<std::size_t>(o.mels) * tile_pitch) * sizeof(float);
  launch("logmel_kernel", y.device(), {dim3(blocks_for(count, tile)), logmel_threads, shared}, logmel_kernel, waves,
         bank, y.data<float>(), data_or_null<std::int32_t>(frames));
}

}  // namespace

extern const LogmelKernels SIMCLR_KERNELS(logmel);
const LogmelKernels SIMCLR_KERNELS(logmel) = {tables_gpu, forward_gpu};

}  // namespace simclr::kernels
