#pragma once

// The consumer's own header of this name: it must never be taken for <simclr/core/tensor.h>, nor the other way round.

namespace consumer {

struct Tensor {
  int order = 0;
};

}  // namespace consumer
