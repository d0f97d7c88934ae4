#pragma once

// Private: the loops of batch normalisation on the CPU. A tensor [rows,C] is seen as steps of so many rows that their
// values fill vectors: `width` values, C times the rows of a step; only the last step may be shorter. What belongs to
// a channel is given for each of the `width` places of a step, called lanes.

#include <cstdint>

namespace simclr::kernels {

/// Steps [begin, end) of a tensor of `elements` values.
struct BatchnormSteps {
  std::int64_t width, elements, begin, end;
};

/// For each lane. The value before residual and ReLU is (x - mean) scale + beta.
template <class T>
struct BatchnormLanes {
  const T *mean, *scale, *beta;
  const T *slope, *constant;  // of dx = scale g + (x - mean) slope + constant; null: dx = scale g
};

/// What two sums for each lane are added to, and memory for those of some steps.
template <class T>
struct BatchnormSums {
  double *first, *second;  // [width] each
  T* run;                  // [2 width], zero before and after
};

/// Where the mask of the ReLU comes from.
enum class BatchnormMask {
  none,    // there is no ReLU, or dy is masked already
  output,  // y
  input    // x, from which y is computed again: the signs agree with the forward pass
};

template <class T>
struct BatchnormFunctions {
  /// Adds up x - shift and its square.
  void (*sums)(const BatchnormSteps& steps, const T* x, const T* shift, const BatchnormSums<T>& to);
  /// y = act((x - mean) scale + beta [+ residual]); residual may be null.
  void (*apply)(const BatchnormSteps& steps, const BatchnormLanes<T>& lanes, const T* x, const T* residual, bool relu,
                T* y);
  /// Adds up g and g (x - mean), g being dy behind the mask, and writes g to `masked` where that is not null. It may be
  /// dy. `y` is read with BatchnormMask::output alone.
  void (*backward_sums)(const BatchnormSteps& steps, const BatchnormLanes<T>& lanes, BatchnormMask mask, const T* dy,
                        const T* x, const T* y, T* masked, const BatchnormSums<T>& to);
  /// dx may be dy.
  void (*backward_data)(const BatchnormSteps& steps, const BatchnormLanes<T>& lanes, BatchnormMask mask, const T* dy,
                        const T* x, const T* y, T* dx);
};

struct BatchnormLoops {
  BatchnormFunctions<float> f32;
  BatchnormFunctions<double> f64;
};

const BatchnormLoops& batchnorm_loops();

}  // namespace simclr::kernels
