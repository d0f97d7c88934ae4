#include <simclr/core/parameter_memory.h>
#include <simclr/core/tensor_impl.h>

#include <memory>
#include <utility>

namespace simclr {

using detail::TensorImpl;

void rebind(const Tensor& tensor, const Tensor& memory) {
  SIMCLR_CHECK(tensor.shape() == memory.shape(), "rebind: ", describe(memory), " for ", describe(tensor));
  TensorImpl& impl = *tensor.impl();
  SIMCLR_CHECK(!impl.node, "rebind: ", describe(tensor), " was computed; only a leaf can move");
  impl.storage = memory.impl()->storage;
  impl.offset = memory.impl()->offset;
  impl.dtype = memory.impl()->dtype;
  impl.grad = Tensor();
}

void set_grad(const Tensor& parameter, const Tensor& gradient) {
  SIMCLR_CHECK(gradient.shape() == parameter.shape() && gradient.dtype() == parameter.dtype() &&
                   gradient.device() == parameter.device(),
               "set_grad: ", describe(gradient), " for ", describe(parameter));
  parameter.impl()->grad = gradient;
  parameter.impl()->grad_is_zero = false;
}

void assume_zero_grad(const Tensor& parameter) {
  if (parameter.grad().defined()) parameter.impl()->grad_is_zero = true;
}

void mark_changed(const Tensor& tensor) {
  SIMCLR_CHECK(tensor.defined(), "mark_changed: an undefined tensor");
  Storage& storage = *tensor.impl()->storage;
  storage.mark_changed();
  if (storage.shadow()) storage.shadow()->mark_changed();
}

Tensor shadow(const Tensor& values) {
  SIMCLR_CHECK(values.dtype() == DType::f32, "shadow: only f32 has one, this is ", describe(values));
  Storage& storage = *values.impl()->storage;
  if (!storage.shadow()) {
    auto whole = std::make_shared<TensorImpl>();
    whole->storage = values.impl()->storage;
    whole->shape = {static_cast<std::int64_t>(storage.bytes() / sizeof(float))};
    storage.set_shadow(Tensor(std::move(whole)).to(DType::bf16).impl()->storage);
  }
  return existing_shadow(values);
}

Tensor existing_shadow(const Tensor& values) {
  SIMCLR_CHECK(values.defined(), "shadow: an undefined tensor");
  const TensorImpl& own = *values.impl();
  if (!own.storage->shadow() || own.dtype != DType::f32) return {};
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = own.storage->shadow();
  impl->offset = own.offset / 2;
  impl->shape = own.shape;
  impl->dtype = DType::bf16;
  return Tensor(std::move(impl));
}

}  // namespace simclr
