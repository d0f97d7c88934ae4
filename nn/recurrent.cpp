#include <simclr/nn/recurrent.h>

#include <cmath>

namespace simclr::nn {

Gru::Gru(const GruOptions& options) : features_(options.width * (options.bidirectional ? 2 : 1)) {
  const std::int64_t size = options.width;
  SIMCLR_CHECK(options.in > 0 && size > 0 && options.layers > 0, "Gru: in ", options.in, ", width ", size, ", layers ",
               options.layers, "; all must be positive");
  const Initializer uniform{Initializer::Kind::uniform, 1.0 / std::sqrt(static_cast<double>(size))};
  for (int layer = 0; layer < options.layers; ++layer) {
    std::vector<kernels::GruWeights>& directions = layers_.emplace_back();
    const std::int64_t in = layer == 0 ? options.in : features_;
    for (const char* direction : {"", "_reverse"}) {
      const std::string suffix = "_l" + std::to_string(layer) + direction;
      directions.push_back({add_parameter("weight_ih" + suffix, {3 * size, in}, Role::weight, uniform),
                            add_parameter("weight_hh" + suffix, {3 * size, size}, Role::weight, uniform),
                            add_parameter("bias_ih" + suffix, {3 * size}, Role::bias, uniform),
                            add_parameter("bias_hh" + suffix, {3 * size}, Role::bias, uniform)});
      if (!options.bidirectional) break;
    }
  }
}

GruOutput Gru::run(const Input& input) {
  const ModuleCall call(*this, input);
  GruOutput output{input.x, {}};
  for (const std::vector<kernels::GruWeights>& directions : layers_) {
    output = gru(output.y, input.lengths, directions);
  }
  check_initialized(call);
  return output;
}

GruEncoder::GruEncoder(const GruEncoderOptions& options)
    : readout_(options.readout),
      gru_(add_module("gru", std::make_shared<Gru>(GruOptions{.in = options.in,
                                                              .width = options.width,
                                                              .layers = options.layers,
                                                              .bidirectional = options.bidirectional}))) {}

Tensor GruEncoder::forward(const Input& input) {
  const GruOutput output = gru_->run(input);
  return readout_ == Readout::last ? output.last : mean_over_time(output.y, input.lengths);
}

}  // namespace simclr::nn
