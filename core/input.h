#pragma once

#include <simclr/core/tensor.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace simclr {

/// What a module is given: N views, and what belongs to each of them. A tensor converts to an input without the
/// rest. All of it lives where x does. Nothing is checked when an input is made; the module that looks at a part does.
struct SIMCLR_API Input {
  Tensor x;        // [N,...]
  Tensor lengths;  // i32 [N]: of each view so many are its own along x's second dimension, the rest is padding of
                   // zeros; undefined: none has padding
  Tensor keys;    // i32 [N,3]: the bits of each view's u32 (sample, epoch, view), what random numbers that are a view's
                  // own are drawn from; undefined: none
  Tensor groups;  // i32 [N]: views of one group are each other's positives, whatever samples they are of, for a loss
                  // that takes groups (nn/model.h); undefined: each sample is its own

  Input() = default;
  Input(Tensor values, Tensor own_lengths = {}, Tensor own_keys = {}, Tensor own_groups = {})
      : x(std::move(values)),
        lengths(std::move(own_lengths)),
        keys(std::move(own_keys)),
        groups(std::move(own_groups)) {}

  /// N.
  std::int64_t rows() const { return x.dim(0); }
  /// Views [begin, begin + count), shared; x's differentiable. Throws Error for views that it lacks (Tensor::narrow).
  Input narrow(std::int64_t begin, std::int64_t count) const;
  /// All of it on `device`.
  Input to(Device device) const;
  /// The same values, shared, outside the graph.
  Input detach() const;
  /// A copy with its own memory, outside the graph.
  Input clone() const;
};

/// Fills `input` with N views and `labels` with N labels (-1: unlabelled), the next batch; false at the end.
using NextBatch = std::function<bool(Input& input, std::vector<std::int32_t>& labels)>;

}  // namespace simclr
