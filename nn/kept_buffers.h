#pragma once

// Private to nn: what a model's forward pass changes besides its result.

#include <simclr/nn/module.h>

#include <utility>
#include <vector>

namespace simclr::nn {

/// A model's buffers, such as batch norm's running statistics, as they were when this was made.
class KeptBuffers {
 public:
  explicit KeptBuffers(const Module& model) {
    const auto state = model.state();  // parameters first
    for (std::size_t i = model.parameters().size(); i < state.size(); ++i) {
      buffers_.emplace_back(state[i].value, state[i].value.clone());
    }
  }
  void put_back() {
    for (auto& [buffer, before] : buffers_) buffer.copy_from(before);
  }

 private:
  std::vector<std::pair<Tensor, Tensor>> buffers_;
};

}  // namespace simclr::nn
