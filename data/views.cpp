#include <simclr/data/views.h>

namespace simclr::data {

ViewMaker::~ViewMaker() = default;

DType ViewMaker::view_dtype() const {
  return DType::f32;
}

}  // namespace simclr::data
