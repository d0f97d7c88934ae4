#pragma once

#include <simclr/core/dtype.h>
#include <simclr/core/error.h>
#include <simclr/core/shape.h>
#include <simclr/core/storage.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

namespace simclr {

namespace detail {
struct TensorImpl;
}

/// A contiguous row-major array on one device. A Tensor is a handle: copies refer to the same values and
/// the same gradient. Images are [N,H,W,C], convolution weights [out,kh,kw,in].
class SIMCLR_API Tensor {
 public:
  /// An undefined tensor: "none".
  Tensor() = default;

  /// Uninitialised values.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = {});
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32, Device device = {});
  static Tensor empty_like(const Tensor& other) { return empty(other.shape(), other.dtype(), other.device()); }
  static Tensor zeros_like(const Tensor& other) { return zeros(other.shape(), other.dtype(), other.device()); }

  /// A CPU tensor with a copy of `values`. Throws Error unless shape has as many elements.
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from_bytes(values.data(), static_cast<std::int64_t>(values.size()), dtype_of<T>, shape);
  }

  /// Views memory that the caller owns; `deleter(data)` runs when the last tensor over it goes.
  static Tensor wrap(void* data, const Shape& shape, DType dtype, Device device = {},
                     std::function<void(void*)> deleter = {});

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }

  const Shape& shape() const;
  std::int64_t dim(int i) const { return shape()[i]; }
  int rank() const { return shape().rank(); }
  std::int64_t numel() const { return shape().numel(); }
  DType dtype() const;
  Device device() const;
  std::size_t bytes() const;

  /// The first element. Throws Error unless T is the tensor's dtype (const T is fine).
  template <class T>
  T* data() const {
    return static_cast<T*>(checked_data(dtype_of<std::remove_const_t<T>>));
  }
  void* raw_data() const;

  /// The value of a one-element tensor. Throws Error for more elements.
  double item() const;
  /// The values as a vector, converted to T's dtype and copied to the host.
  template <class T>
  std::vector<T> to_vector() const {
    std::vector<T> values(static_cast<std::size_t>(numel()));
    copy_to_host(values.data(), dtype_of<T>);
    return values;
  }

  /// The same values under another shape, shared. Differentiable.
  Tensor reshape(const Shape& shape) const;
  /// Rows [begin, begin + length) of the first dimension, shared. Differentiable.
  Tensor narrow(std::int64_t begin, std::int64_t length) const;
  /// The values converted (Error from or to u16) or moved; the tensor itself when nothing changes. Not differentiable.
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;
  /// A copy with its own memory, outside the graph.
  Tensor clone() const;
  /// The same values, shared, outside the graph.
  Tensor detach() const;

  /// Overwrites the values by `source`'s (same shape, any device; Error between u16 and another dtype). Not recorded.
  void copy_from(const Tensor& source);
  /// Overwrites every value. Not recorded. Throws Error for u16.
  void fill(double value);

  // Autograd; see autograd.h.

  bool requires_grad() const;
  /// Marks a leaf whose gradient backward() accumulates. Floating dtypes only.
  Tensor& set_requires_grad(bool requires_grad = true);
  /// The accumulated gradient; undefined before backward() reached this tensor. For reading: after zero_grad() the next
  /// gradient overwrites it. parameter_memory.h's set_grad() puts one of your own in its place.
  const Tensor& grad() const;
  /// Zeroes the gradient if there is one.
  void zero_grad();
  /// Keeps this intermediate result's gradient in grad() when backward() passes.
  void retain_grad();
  /// Adds a function that runs each time backward() has added to this leaf's gradient: once for every use of it. For an
  /// intermediate result it runs once, when the whole gradient is known, which grad() gives while it runs; and only if
  /// somebody still holds a handle of this very tensor. Hooks run in the order in which they were added.
  void add_grad_hook(std::function<void(Tensor&)> hook);
  /// Adds d(this)/d(leaf) to the gradient of every leaf this scalar depends on, and frees the graph.
  void backward() const;
  /// The same for any shape, starting from d(loss)/d(this) = `gradient`.
  void backward(const Tensor& gradient) const;

  /// Whether both are handles of the same tensor.
  bool same_as(const Tensor& other) const { return impl_ == other.impl_; }

  const std::shared_ptr<detail::TensorImpl>& impl() const { return impl_; }
  explicit Tensor(std::shared_ptr<detail::TensorImpl> impl) : impl_(std::move(impl)) {}

 private:
  static Tensor from_bytes(const void* values, std::int64_t count, DType dtype, const Shape& shape);
  Tensor view(const Shape& shape, std::int64_t first_element) const;
  void* checked_data(DType dtype) const;
  void copy_to_host(void* values, DType dtype) const;

  std::shared_ptr<detail::TensorImpl> impl_;
};

/// How states and weights files carry tensors.
struct NamedTensor {
  std::string name;
  Tensor value;
};

/// "f32 [2,3] on cpu", for messages.
SIMCLR_API std::string describe(const Tensor& tensor);

}  // namespace simclr
