#pragma once

// Private: the loops of batch normalisation on the CPU, over steps of rows (row_steps.h).

#include "row_steps.h"

namespace simclr::kernels {

/// For each lane. The value before residual and ReLU is (x - mean) scale + beta.
template <class T>
struct BatchnormLanes {
  const T *mean, *scale, *beta;
  const T *slope, *constant;  // of dx = scale g + (x - mean) slope + constant; null: dx = scale g
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
  void (*sums)(const RowSteps& steps, const T* x, const T* shift, const RowSums<T>& to);
  /// y = act((x - mean) scale + beta [+ residual]); residual may be null.
  void (*apply)(const RowSteps& steps, const BatchnormLanes<T>& lanes, const T* x, const T* residual, bool relu, T* y);
  /// Adds up g and g (x - mean), g being dy behind the mask, and writes g to `masked` where that is not null. It may be
  /// dy. `y` is read with BatchnormMask::output alone.
  void (*backward_sums)(const RowSteps& steps, const BatchnormLanes<T>& lanes, BatchnormMask mask, const T* dy,
                        const T* x, const T* y, T* masked, const RowSums<T>& to);
  /// dx may be dy.
  void (*backward_data)(const RowSteps& steps, const BatchnormLanes<T>& lanes, BatchnormMask mask, const T* dy,
                        const T* x, const T* y, T* dx);
};

struct BatchnormLoops {
  BatchnormFunctions<float> f32;
  BatchnormFunctions<double> f64;
};

const BatchnormLoops& batchnorm_loops();

}  // namespace simclr::kernels
