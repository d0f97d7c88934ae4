#include <simclr/core/parameter_memory.h>
#include <simclr/core/primitives.h>
#include <simclr/core/tensor_impl.h>

#include <cstring>
#include <utility>

namespace simclr {

using detail::TensorImpl;

namespace {

TensorImpl& checked(const std::shared_ptr<TensorImpl>& impl) {
  SIMCLR_CHECK(impl != nullptr, "tensor: an undefined tensor was used");
  return *impl;
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  auto impl = std::make_shared<TensorImpl>();
  const auto bytes = static_cast<std::size_t>(shape.numel() * size_of(dtype));
  impl->storage = std::make_shared<Storage>(bytes, Context::of(device));
  impl->shape = shape;
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  return full(shape, 0.0, dtype, device);
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor tensor = empty(shape, dtype, device);
  tensor.fill(value);
  return tensor;
}

Tensor Tensor::from_bytes(const void* values, std::int64_t count, DType dtype, const Shape& shape) {
  SIMCLR_CHECK(shape.numel() == count, "tensor: ", count, " values do not fill shape ", shape);
  Tensor tensor = empty(shape, dtype);
  if (count > 0) std::memcpy(tensor.raw_data(), values, tensor.bytes());
  return tensor;
}

Tensor Tensor::wrap(void* data, const Shape& shape, DType dtype, Device device, std::function<void(void*)> deleter) {
  auto impl = std::make_shared<TensorImpl>();
  const auto bytes = static_cast<std::size_t>(shape.numel() * size_of(dtype));
  impl->storage = std::make_shared<Storage>(data, bytes, device, std::move(deleter));
  impl->shape = shape;
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

const Shape& Tensor::shape() const {
  return checked(impl_).shape;
}
DType Tensor::dtype() const {
  return checked(impl_).dtype;
}
Device Tensor::device() const {
  return checked(impl_).storage->device();
}
std::size_t Tensor::bytes() const {
  return static_cast<std::size_t>(numel() * size_of(dtype()));
}

void* Tensor::raw_data() const {
  const TensorImpl& impl = checked(impl_);
  return impl.storage->data() + impl.offset;
}

void* Tensor::checked_data(DType dtype) const {
  SIMCLR_CHECK(this->dtype() == dtype, "tensor: asked for ", dtype, " data of ", describe(*this));
  return raw_data();
}

double Tensor::item() const {
  SIMCLR_CHECK(numel() == 1, "tensor: item() needs one element, this is ", describe(*this));
  return to_vector<double>()[0];
}

void Tensor::copy_to_host(void* values, DType dtype) const {
  Tensor host = wrap(values, shape(), dtype);
  host.copy_from(*this);
}

Tensor Tensor::view(const Shape& shape, std::int64_t first_element) const {
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = impl_->storage;
  impl->offset = impl_->offset + static_cast<std::size_t>(first_element * size_of(dtype()));
  impl->shape = shape;
  impl->dtype = impl_->dtype;
  return Tensor(std::move(impl));
}

Tensor Tensor::reshape(const Shape& shape) const {
  SIMCLR_CHECK(shape.numel() == numel(), "reshape: ", describe(*this), " does not fit ", shape);
  return record("reshape", {*this}, view(shape, 0),
                [from = this->shape()](Backward& b) { b.set(0, b.dy().reshape(from)); });
}

Tensor Tensor::narrow(std::int64_t begin, std::int64_t length) const {
  SIMCLR_CHECK(rank() > 0 && begin >= 0 && length >= 0 && begin + length <= dim(0), "narrow: rows ", begin, " to ",
               begin + length, " of ", describe(*this));
  const std::int64_t row = dim(0) == 0 ? 0 : numel() / dim(0);
  return record("narrow", {*this}, view(shape().with_first(length), begin * row), [from = shape(), begin](Backward& b) {
    Tensor dx = zeros(from, b.dy().dtype(), b.dy().device());
    dx.narrow(begin, b.dy().dim(0)).copy_from(b.dy());
    b.set(0, dx);
  });
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == this->dtype()) return *this;
  Tensor result = empty(shape(), dtype, device());
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  Tensor result = empty(shape(), dtype(), device);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::clone() const {
  Tensor result = empty_like(*this);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::detach() const {
  return defined() ? view(shape(), 0) : Tensor();
}

void Tensor::copy_from(const Tensor& source) {
  SIMCLR_CHECK(shape() == source.shape(), "copy: ", describe(source), " into ", describe(*this));
  SIMCLR_CHECK(dtype() == source.dtype() || (dtype() != DType::u16 && source.dtype() != DType::u16),
               "copy: ", describe(source), " into ", describe(*this),
               ": u16 is for storage alone and converts to nothing; read its values and convert them");
  // A value crosses devices in its own dtype and is converted where it already is.
  const Device target = device() == Device{} ? source.device() : device();
  const auto& kernels = primitives_slot.on(target);
  if (dtype() == source.dtype()) {
    kernels.copy(source, *this);
  } else if (device() == source.device()) {
    kernels.cast(source, *this);
  } else {
    Tensor converted = source.to(dtype());
    kernels.copy(converted, *this);
  }
  mark_changed(*this);
  if (Tensor shadow = existing_shadow(*this); shadow.defined()) shadow.copy_from(*this);
}

void Tensor::fill(double value) {
  SIMCLR_CHECK(dtype() != DType::u16, "fill: ", describe(*this), ": u16 is for storage alone; copy values into it");
  primitives_slot.on(device()).fill(*this, value);
  mark_changed(*this);
  if (Tensor shadow = existing_shadow(*this); shadow.defined()) shadow.fill(value);
}

std::string describe(const Tensor& tensor) {
  if (!tensor.defined()) return "an undefined tensor";
  return std::string(name(tensor.dtype())) + " " + to_string(tensor.shape()) + " on " + to_string(tensor.device());
}

}  // namespace simclr
