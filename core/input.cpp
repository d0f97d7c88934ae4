#include <simclr/core/input.h>

namespace simclr {
namespace {

/// f of each tensor that there is.
template <class F>
Input each(const Input& input, const F& f) {
  const auto of = [&](const Tensor& tensor) { return tensor.defined() ? f(tensor) : Tensor(); };
  return {of(input.x), of(input.lengths), of(input.keys), of(input.groups)};
}

}  // namespace

Input Input::narrow(std::int64_t begin, std::int64_t count) const {
  return each(*this, [&](const Tensor& tensor) { return tensor.narrow(begin, count); });
}

Input Input::to(Device device) const {
  return each(*this, [&](const Tensor& tensor) { return tensor.to(device); });
}

Input Input::detach() const {
  return each(*this, [](const Tensor& tensor) { return tensor.detach(); });
}

Input Input::clone() const {
  return each(*this, [](const Tensor& tensor) { return tensor.clone(); });
}

}  // namespace simclr
