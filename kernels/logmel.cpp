// Log-mel spectrograms: the tables, the checks, and on the CPU the frames as a real FFT needs them. Frames of all
// sequences go in groups, one to each lane of the vectors (cpu/logmel.cpp); a frame's bits do not depend on its group.
#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/logmel.h>
#include <simclr/kernels/logmel.h>
#include <simclr/kernels/shared/check_lengths.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>
#include <simclr/kernels/shared/logmel.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>
#include <vector>

namespace simclr::kernels {
namespace {

constexpr const char* op = "logmel";
constexpr std::int64_t most_samples = std::int64_t{1} << 30, most_fft = 65536, most_mels = 256;

/// The FFT's passes over fft / 2 points; of none where another factor is left.
FftPasses passes_of(std::int64_t fft) {
  FftPasses passes = {};
  std::int64_t left = fft / 2;
  for (const int radix : {4, 2, 3, 5}) {
    for (; left % radix == 0; left /= radix) passes.radix[passes.count++] = radix;
  }
  return left == 1 ? passes : FftPasses{};
}

void check_options(const LogmelOptions& o) {
  SIMCLR_CHECK(std::isfinite(o.sample_rate) && o.sample_rate > 0, op, ": sample_rate is ", o.sample_rate,
               ", it must be above 0");
  SIMCLR_CHECK(o.fft >= 4 && o.fft <= most_fft && o.fft % 2 == 0 && passes_of(o.fft).count > 0, op, ": fft is ", o.fft,
               ", it must be even, from 4 to ", most_fft, " and a product of 2, 3 and 5");
  SIMCLR_CHECK(o.window >= 2 && o.window <= o.fft, op, ": window is ", o.window, ", it must be from 2 to fft, ", o.fft);
  SIMCLR_CHECK(o.hop >= 1 && o.hop <= most_samples, op, ": hop is ", o.hop, ", it must be from 1 to ", most_samples);
  SIMCLR_CHECK(o.mels >= 1 && o.mels <= most_mels, op, ": mels is ", o.mels, ", it must be from 1 to ", most_mels);
  SIMCLR_CHECK(o.lowest >= 0 && o.lowest < o.highest && o.highest <= o.sample_rate / 2, op, ": lowest and highest are ",
               o.lowest, " and ", o.highest, ", they must be ordered and from 0 to ", o.sample_rate / 2,
               ", half the sample rate");
  SIMCLR_CHECK(o.floor >= 1e-20 && o.floor <= 1, op, ": floor is ", o.floor, ", it must be from 1e-20 to 1");
}

/// The triangles' corners, mels + 2 of them, in Hz.
std::vector<double> corners_of(const LogmelOptions& o) {
  const auto mel = [](double hz) { return 2595 * std::log10(1 + hz / 700); };
  const double low = mel(o.lowest), step = (mel(o.highest) - low) / static_cast<double>(o.mels + 1);
  std::vector<double> corners;
  for (std::int64_t i = 0; i < o.mels + 2; ++i) {
    corners.push_back(700 * (std::pow(10, (low + step * static_cast<double>(i)) / 2595) - 1));
  }
  return corners;
}

/// Fills in first_bin, bins, bands and weights.
void add_bank(LogmelPlan& plan) {
  const LogmelOptions& o = plan.options;
  const std::vector<double> corners = corners_of(o);
  const double bin = o.sample_rate / static_cast<double>(o.fft);
  std::vector<std::int32_t> bands;
  std::vector<double> weights;
  for (std::int64_t m = 0; m < o.mels; ++m) {
    const double *corner = corners.data() + m, rise = corner[1] - corner[0], fall = corner[2] - corner[1];
    const std::size_t first = weights.size();
    std::int64_t first_bin = 0;
    for (std::int64_t k = 0; k <= o.fft / 2; ++k) {
      const double hz = bin * static_cast<double>(k);
      const double weight = std::min((hz - corner[0]) / rise, (corner[2] - hz) / fall);
      if (!(weight > 0)) continue;
      if (weights.size() == first) first_bin = k;
      weights.push_back(weight);
    }
    const std::size_t count = weights.size() - first;
    SIMCLR_CHECK(count > 0, op, ": mel ", m, " of ", o.mels, ", from ", corner[0], " to ", corner[2],
                 " Hz, holds none of the FFT's bins, which are ", bin, " Hz apart; take fewer mels or a larger fft");
    for (const auto value : {first_bin, static_cast<std::int64_t>(count), static_cast<std::int64_t>(first)}) {
      bands.push_back(static_cast<std::int32_t>(value));
    }
  }
  plan.first_bin = bands[0];
  const std::size_t last = bands.size() - 3;
  plan.bins = bands[last] + bands[last + 1] - plan.first_bin;
  plan.bands = Tensor::from(bands, {o.mels, 3});
  plan.weights = Tensor::from(weights, {static_cast<std::int64_t>(weights.size())});
}

void check_plan(const Tensor& waveforms, const LogmelPlan& plan) {
  const auto fits = [&](const Tensor& t, DType dtype) {
    SIMCLR_CHECK(t.defined() && t.dtype() == dtype && t.device() == waveforms.device(), op, ": the plan's tables are ",
                 describe(t), ", the waveforms ", describe(waveforms),
                 "; make the plan for their dtype and device by logmel_plan()");
  };
  fits(plan.weights, waveforms.dtype());
  fits(plan.transform, waveforms.dtype());
  fits(plan.bands, DType::i32);
  check_options(plan.options);
  SIMCLR_CHECK(plan.bands.shape() == (Shape{plan.options.mels, 3}), op, ": the plan's tables are of ",
               plan.bands.dim(0), " mels, its options of ", plan.options.mels, "; make another by logmel_plan()");
}

// The CPU.

/// Values of tables_cpu().
std::int64_t table_size(const LogmelOptions& o) {
  const FftPasses passes = passes_of(o.fft);
  std::int64_t size = o.window - 1 + 2 * (o.fft / 4 + 1), n = o.fft / 2;
  for (int i = 0; i < passes.count; ++i) {
    n /= passes.radix[i];
    size += 2 * n * (passes.radix[i] - 1);
  }
  return size;
}

/// As LogmelTables has them.
void tables_cpu(LogmelPlan& plan) {
  const LogmelOptions& o = plan.options;
  std::vector<double> values;
  const auto turn = [&](std::int64_t part, std::int64_t of) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(part % of) / static_cast<double>(of);
    values.insert(values.end(), {std::cos(angle), std::sin(angle)});
  };
  for (std::int64_t i = 1; i < o.window; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(o.window);
    values.push_back(0.25 - 0.25 * std::cos(angle));
  }
  const FftPasses passes = passes_of(o.fft);
  std::int64_t n = o.fft / 2;
  for (int i = 0; i < passes.count; ++i) {
    const int r = passes.radix[i];
    for (std::int64_t p = 0; p < n / r; ++p) {
      for (int j = 1; j < r; ++j) turn(j * p, n);
    }
    n /= r;
  }
  for (std::int64_t k = 0; k <= o.fft / 4; ++k) turn(k, o.fft);
  plan.transform = Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

template <class T>
const LogmelFunctions<T>& loops() {
  if constexpr (std::is_same_v<T, float>) {
    return logmel_loops().f32;
  } else {
    return logmel_loops().f64;
  }
}

/// What every thread reads.
template <class T>
struct Waves {
  const T* samples;
  const std::int32_t* length;  // may be null
  std::int64_t size, frames, hop, window;
  LogmelTables<T> tables;
  T* y;

  std::int64_t scratch() const { return loops<T>().scratch(tables.fft, tables.mels) + loops<T>().frames * tables.taps; }

  /// The samples of frame t of sequence n that the window takes; where it reaches beyond an end, `row` has them.
  const T* frame(std::int64_t n, std::int64_t t, std::int64_t own, T* row) const {
    const T* wave = samples + n * size;
    const std::int64_t first = t * hop - (window + 1) / 2 + 1;
    if (first >= 0 && first + tables.taps <= own) return wave + first;
    for (std::int64_t i = 0; i < tables.taps; ++i) row[i] = wave[mirrored(first + i, own)];
    return row;
  }

  /// Rows [begin, end) of y [N frames,mels].
  void run(std::int64_t begin, std::int64_t end, T* memory) const {
    constexpr std::int64_t most_lanes = 64;
    const std::int64_t lanes = loops<T>().frames;
    const T* from[most_lanes];
    T *to[most_lanes], *rows = memory + loops<T>().scratch(tables.fft, tables.mels);
    std::int64_t count = 0;
    const auto flush = [&] {
      if (count == 0) return;
      std::fill(from + count, from + lanes, from[0]);
      loops<T>().run(tables, from, to, count, memory);
      count = 0;
    };
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t n = i / frames, t = i % frames, own = length_of(length, n, size);
      if (t >= frames_of(own, hop)) {
        std::fill_n(y + i * tables.mels, tables.mels, std::log(tables.floor));
        continue;
      }
      from[count] = frame(n, t, own, rows + count * tables.taps);
      to[count] = y + i * tables.mels;
      if (++count == lanes) flush();
    }
    flush();
  }
};

void forward_cpu(const Tensor& waveforms, const Tensor& lengths, const LogmelPlan& plan, Tensor& y, Tensor& frames) {
  const LogmelOptions& o = plan.options;
  SIMCLR_CHECK(plan.transform.numel() == table_size(o), op,
               ": the plan's tables are of another window or fft than its options; make another by logmel_plan()");
  if (lengths.defined()) {
    const std::int32_t* length = lengths.data<std::int32_t>();
    std::int32_t* own = frames.data<std::int32_t>();
    for (std::int64_t n = 0; n < frames.numel(); ++n) own[n] = static_cast<std::int32_t>(frames_of(length[n], o.hop));
  }
  dispatch_float(waveforms.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const LogmelTables<T> tables{passes_of(o.fft),
                                 o.fft,
                                 o.window - 1,
                                 o.mels,
                                 plan.transform.data<const T>(),
                                 plan.bands.data<const std::int32_t>(),
                                 plan.weights.data<const T>(),
                                 static_cast<T>(floor_power(o.floor, o.window))};
    const Waves<T> waves{waveforms.data<const T>(),
                         lengths_or_null(lengths),
                         waveforms.dim(1),
                         y.dim(1),
                         o.hop,
                         o.window,
                         tables,
                         y.data<T>()};
    const std::int64_t lanes = loops<T>().frames;
    const auto flop = static_cast<std::int64_t>(4 * static_cast<double>(o.fft) * std::log2(static_cast<double>(o.fft)));
    const std::int64_t grain = (items_a_piece({.flop = flop}) + lanes - 1) / lanes * lanes;
    PerThread<Tensor> memory;
    parallel_for(y.dim(0) * y.dim(1), grain, [&](std::int64_t begin, std::int64_t end, int thread) {
      const Tensor& own = memory.get(thread, [&] { return Tensor::empty({waves.scratch()}, dtype_of<T>); });
      waves.run(begin, end, own.data<T>());
    });
  });
}

}  // namespace

extern const LogmelKernels logmel_cpu;
const LogmelKernels logmel_cpu = {tables_cpu, forward_cpu};

LogmelPlan logmel_plan(const LogmelOptions& options, Device device, DType dtype) {
  check_options(options);
  SIMCLR_CHECK(dtype == DType::f32 || (dtype == DType::f64 && device.type == DeviceType::cpu), op,
               ": waveforms are f32, or f64 on the CPU, not ", dtype, " on ", device);
  LogmelPlan plan;
  plan.options = options;
  add_bank(plan);
  logmel_slot.on(device).tables(plan);
  plan.bands = plan.bands.to(device);
  plan.weights = plan.weights.to(dtype).to(device);
  plan.transform = plan.transform.to(dtype).to(device);
  return plan;
}

std::int64_t logmel_frames(std::int64_t samples, const LogmelOptions& options) {
  SIMCLR_CHECK(samples >= 0 && options.hop >= 1, op, ": ", samples, " samples with a hop of ", options.hop,
               "; there are none or more, and a hop of at least 1");
  return frames_of(samples, options.hop);
}

LogmelResult logmel(const Tensor& waveforms, const Tensor& lengths, const LogmelPlan& plan) {
  SIMCLR_CHECK(
      waveforms.defined() && waveforms.rank() == 2 && waveforms.numel() > 0 && waveforms.dim(1) <= most_samples, op,
      ": waveforms must be [N,S] and not empty, S at most ", most_samples, ", got ", describe(waveforms));
  SIMCLR_CHECK(!waveforms.requires_grad(), op, ": it has no gradient, which the waveforms require; give detach()");
  check_plan(waveforms, plan);
  check_lengths(op, waveforms, lengths, waveforms.dim(0), waveforms.dim(1));
  const Device device = waveforms.device();
  const std::int64_t sequences = waveforms.dim(0), frames = logmel_frames(waveforms.dim(1), plan.options);
  LogmelResult result{Tensor::empty({sequences, frames, plan.options.mels}, waveforms.dtype(), device), {}};
  if (lengths.defined()) result.lengths = Tensor::empty({sequences}, DType::i32, device);
  logmel_slot.on(device).forward(waveforms, lengths, plan, result.y, result.lengths);
  return result;
}

}  // namespace simclr::kernels
