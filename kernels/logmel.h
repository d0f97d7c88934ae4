#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

#include <cstdint>

/// Log-mel spectrograms of waveforms, as librosa's melspectrogram with center=True, pad_mode="reflect", htk=True,
/// norm=None, power=2, and the natural logarithm of it. Frame t is centred on sample t hop, x' is x mirrored at its
/// ends (and mirrored again where it is short), w the periodic Hann window of W samples:
///   p[t,k] = |sum over i < W of w[i] x'[t hop - ceil(W / 2) + i] e^(-2 pi i k / fft)|^2
///   y[t,m] = log max(sum over k of b[m,k] p[t,k], floor (W / 4)^2)
/// b[m] is a triangle over the frequencies: 1 at the middle of three neighbours of mels + 2 that lie evenly on the
/// scale 2595 log10(1 + f / 700) from `lowest` to `highest`. It has no gradient: it stands before the encoder, where
/// samples are augmented.
namespace simclr::kernels {

struct LogmelOptions {
  double sample_rate = 16000;          // Hz
  std::int64_t window = 400;           // W, samples, 2 to `fft`
  std::int64_t fft = 512;              // even, of the factors 2, 3 and 5 alone, 4 to 65536
  std::int64_t hop = 160;              // samples from frame to frame, at least 1
  std::int64_t mels = 64;              // 1 to 256; each must hold a bin of the FFT
  double lowest = 60, highest = 7800;  // Hz, within half the sample rate
  double floor = 1e-6;  // 1e-20 to 1, of full scale: a sine of amplitude 1 on a bin has the power (W / 4)^2
};

/// The options' tables. Make it once; it serves every shape, and captured steps.
struct LogmelPlan {
  LogmelOptions options;
  std::int64_t first_bin = 0, bins = 0;  // of the FFT, that the mels are made of
  Tensor bands;      // i32 [mels,3]: of each mel the first bin, how many, the place of their weights
  Tensor weights;    // b of those bins, mel by mel
  Tensor transform;  // as the device likes it
};

/// For waveforms of this device and dtype. Throws Error for options outside their range, for a mel without a bin, and
/// on a GPU for tables, of window x bins values, of more than 2^27.
SIMCLR_API LogmelPlan logmel_plan(const LogmelOptions& options, Device device = {}, DType dtype = DType::f32);

/// 1 + samples / hop; 0 of none.
SIMCLR_API std::int64_t logmel_frames(std::int64_t samples, const LogmelOptions& options);

struct LogmelResult {
  Tensor y;        // [N,frames,mels], frames those of S samples; behind a sequence's own: the floor's logarithm
  Tensor lengths;  // i32 [N]: each sequence's own frames; undefined where the call has no lengths
};

/// waveforms [N,S], full scale being 1: f32, or f64 on the CPU; lengths i32 [N] in 0..S, in samples, or undefined: all
/// S. Samples behind a length are not looked at. A NaN or an infinity shows in the frames that it is in.
/// Throws Error for other shapes, dtypes and devices, for a plan whose options are not its tables', for no samples or
/// more than 2^30, for waveforms that require a gradient, and on the CPU for a length outside 0..S, which on a GPU
/// gives NaN and a length of -1.
SIMCLR_API LogmelResult logmel(const Tensor& waveforms, const Tensor& lengths, const LogmelPlan& plan);

struct LogmelKernels {
  /// plan.transform, f64 on the CPU, from plan.options, first_bin and bins.
  Kernel<"logmel tables", void(LogmelPlan& plan)> tables;
  /// frames i32 [N], where lengths are defined.
  Kernel<"logmel",
         void(const Tensor& waveforms, const Tensor& lengths, const LogmelPlan& plan, Tensor& y, Tensor& frames)>
      forward;
};

SIMCLR_API extern const Slot<LogmelKernels> logmel_slot;

}  // namespace simclr::kernels
