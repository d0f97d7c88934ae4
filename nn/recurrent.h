#pragma once

#include <simclr/nn/functional.h>
#include <simclr/nn/module.h>

#include <memory>
#include <vector>

/// Recurrent networks over sequences [N,T,C]. An input's lengths are looked at: what stands behind a sequence's length
/// changes nothing.
namespace simclr::nn {

struct GruOptions {
  std::int64_t in = 0;
  std::int64_t width = 0;  // H, of each direction
  int layers = 1;
  bool bidirectional = false;
};

/// Layers of gated recurrent units (kernels/gru.h), PyTorch's nn.GRU with batch_first: its parameters' names
/// (weight_ih_l0 [3H,in], weight_hh_l0 [3H,H], bias_ih_l0, bias_hh_l0 [3H], _reverse for the second direction, _l1 for
/// the next layer, whose input is D H wide), its order of gates, and its start, uniform in +-1/sqrt(H).
class SIMCLR_API Gru : public Module {
 public:
  /// Throws Error for sizes that are not positive.
  explicit Gru(const GruOptions& options);
  /// [N,T,in] -> [N,T,D H], h behind each step, zeros behind the lengths.
  Tensor forward(const Input& input) override { return run(input).y; }
  /// The same of the last layer, with h behind each direction's last step.
  GruOutput run(const Input& input);
  std::int64_t output_features() const override { return features_; }

 private:
  std::int64_t features_;
  std::vector<std::vector<kernels::GruWeights>> layers_;  // of each, its directions
};

/// What a sequence's features are: the mean of its outputs, or h behind each direction's last step.
enum class Readout { mean, last };

struct GruEncoderOptions {
  std::int64_t in = 0;
  std::int64_t width = 256;  // H, of each direction
  int layers = 1;
  bool bidirectional = true;
  Readout readout = Readout::mean;
};

/// An encoder of sequences: a Gru, "gru", and the mean over a sequence's own steps or its last states. [N,T,in] to
/// features [N,D H]; 0 for a sequence of length 0.
class SIMCLR_API GruEncoder : public Module {
 public:
  /// Throws Error for sizes that are not positive.
  explicit GruEncoder(const GruEncoderOptions& options);
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return gru_->output_features(); }
  Readout readout() const { return readout_; }

 private:
  Readout readout_;
  std::shared_ptr<Gru> gru_;
};

}  // namespace simclr::nn
