#pragma once

// Private: the addresses of tensors that a call may leave undefined.

#include <simclr/core/tensor.h>

#include <cstdint>

namespace simclr::kernels {

/// Null where undefined.
template <class T>
T* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

/// The same of lengths, for length_of().
inline const std::int32_t* lengths_or_null(const Tensor& lengths) {
  return data_or_null<const std::int32_t>(lengths);
}

}  // namespace simclr::kernels
