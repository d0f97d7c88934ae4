#include "common.h"

#include <simclr/core/context.h>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace simclr::python {
namespace {

namespace dlpack = nb::dlpack;
using Array = nb::ndarray<nb::ro>;

std::string type_of(nb::handle value) {
  return nb::cast<std::string>(value.type().attr("__name__").attr("__str__")());
}

std::optional<DType> dtype_of_array(const dlpack::dtype& dtype) {
  if (dtype.lanes != 1) return {};
  const auto is = [&](dlpack::dtype_code code, int bits) {
    return dtype.code == static_cast<std::uint8_t>(code) && dtype.bits == bits;
  };
  if (is(dlpack::dtype_code::Float, 32)) return DType::f32;
  if (is(dlpack::dtype_code::Float, 64)) return DType::f64;
  if (is(dlpack::dtype_code::Bfloat, 16)) return DType::bf16;
  if (is(dlpack::dtype_code::UInt, 8)) return DType::u8;
  if (is(dlpack::dtype_code::Int, 32)) return DType::i32;
  if (is(dlpack::dtype_code::UInt, 16)) return DType::u16;
  return {};
}

dlpack::dtype array_dtype(DType dtype) {
  const auto of = [](dlpack::dtype_code code, int bits) {
    return dlpack::dtype{static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1};
  };
  switch (dtype) {
    case DType::f32: return of(dlpack::dtype_code::Float, 32);
    case DType::f64: return of(dlpack::dtype_code::Float, 64);
    case DType::bf16: return of(dlpack::dtype_code::Bfloat, 16);
    case DType::u8: return of(dlpack::dtype_code::UInt, 8);
    case DType::i32: return of(dlpack::dtype_code::Int, 32);
    case DType::u16: return of(dlpack::dtype_code::UInt, 16);
  }
  fail("no such dtype");
}

bool row_major(const Array& array) {
  if (array.size() == 0) return true;
  std::int64_t expected = 1;
  for (std::size_t i = array.ndim(); i-- > 0;) {
    const auto size = static_cast<std::int64_t>(array.shape(i));
    if (size != 1 && array.stride(i) != expected) return false;
    expected *= size;
  }
  return true;
}

std::string dtype_name(nb::handle array) {
  return nb::hasattr(array, "dtype") ? nb::cast<std::string>(array.attr("dtype").attr("__str__")())
                                     : "of an unknown dtype";
}

Device device_of(const Array& array, const char* name) {
  if (array.device_type() == nb::device::cpu::value) return {};
  SIMCLR_CHECK(array.device_type() == nb::device::cuda::value, name,
               " is on a device that simclr has not; move it to the CPU or to CUDA");
  const Device device = {DeviceType::cuda, array.device_id()};
  Context::of(device);  // says why, where this build or machine has no such device
  return device;
}

/// Calls in progress, and whether this process is a fork's child that began amid one.
std::atomic<int> inside{0};
std::atomic<bool> forked_inside{false};
int inside_at_fork = 0;

void before_fork() {
  inside_at_fork = inside;
}

void in_child() {
  if (inside_at_fork > 0) forked_inside = true;
}

PyObject* error_class(const char* name) {
  return nb::object(nb::module_::import_("simclr._errors").attr(name)).release().ptr();
}

/// The classes of simclr._errors, for as long as the process lives.
struct ErrorClasses {
  PyObject* input;
  PyObject* run;
  PyObject* out_of_memory;
};

}  // namespace

Framework framework_of(nb::handle array) {
  const std::string module = nb::cast<std::string>(nb::str(array.type().attr("__module__")));
  return module == "torch" || module.starts_with("torch.") || nb::hasattr(array, "requires_grad_") ? Framework::torch
                                                                                                   : Framework::numpy;
}

Tensor as_tensor(nb::handle array, const char* name) {
  Array view;
  const bool read = nb::try_cast(array, view);  // of a torch tensor also where it requires a gradient
  const bool capsule = PyCapsule_CheckExact(array.ptr()) != 0;
  SIMCLR_CHECK(read || !capsule, name,
               " is a PyCapsule that has no array, or had one that was taken already; pass the array itself");
  SIMCLR_CHECK(read || nb::ndarray_check(array), name, " is a ", type_of(array),
               "; a NumPy array or a torch tensor is wanted");
  SIMCLR_CHECK(capsule || !nb::getattr(array, "requires_grad", nb::none()).is(Py_True), name,
               " requires a gradient, which this function does not give; pass ", name, ".detach()");
  SIMCLR_CHECK(read, name, " is a ", type_of(array), " that cannot be read through DLPack (dtype ", dtype_name(array),
               "); pass a dense array of numbers");
  const std::optional<DType> dtype = dtype_of_array(view.dtype());
  SIMCLR_CHECK(dtype.has_value(), name, " is ", dtype_name(array),
               "; convert it to float32, float64, bfloat16, uint8, uint16 or int32");
  SIMCLR_CHECK(row_major(view), name, " is not contiguous; pass ",
               framework_of(array) == Framework::torch ? std::string(name) + ".contiguous()"
                                                       : "numpy.ascontiguousarray(" + std::string(name) + ")");
  SIMCLR_CHECK(view.size() == 0 || reinterpret_cast<std::uintptr_t>(view.data()) % size_of(*dtype) == 0, name,
               " begins at an address that is no multiple of its values' size; pass a copy");
  const Device device = device_of(view, name);
  std::vector<std::int64_t> sizes(view.ndim());
  for (std::size_t i = 0; i < view.ndim(); ++i) sizes[i] = static_cast<std::int64_t>(view.shape(i));
  const auto owner = std::make_shared<Array>(view);
  return Tensor::wrap(const_cast<void*>(view.data()), Shape(sizes), *dtype, device, [owner](void*) {});
}

Tensor as_tensor(nb::handle array, const char* name, std::initializer_list<DType> dtypes) {
  const Tensor tensor = as_tensor(array, name);
  if (std::find(dtypes.begin(), dtypes.end(), tensor.dtype()) != dtypes.end()) return tensor;
  std::string allowed;
  for (const DType dtype : dtypes) allowed += (allowed.empty() ? "" : " or ") + std::string(simclr::name(dtype));
  fail(name, " is ", tensor.dtype(), "; it must be ", allowed);
}

Tensor as_optional_tensor(nb::handle array, const char* name) {
  return array.is_none() ? Tensor() : as_tensor(array, name);
}

nb::object to_array(const Tensor& tensor, Framework framework) {
  if (!tensor.defined()) return nb::none();
  SIMCLR_CHECK(framework == Framework::torch || (tensor.dtype() != DType::bf16 && is_host_memory(tensor.device())),
               "NumPy has no array of ", describe(tensor));
  const nb::capsule owner(new Tensor(tensor), [](void* held) noexcept { delete static_cast<Tensor*>(held); });
  std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
  const int type =
      tensor.device().type == DeviceType::cuda ? int{nb::device::cuda::value} : int{nb::device::cpu::value};
  if (framework == Framework::torch) {
    // By way of a bare capsule: PyTorch asks any other object for its device and its abilities, which takes 3 us.
    static PyObject* from_dlpack = nullptr;  // guarded by the interpreter's lock, which an import may let go of
    if (from_dlpack == nullptr) {
      from_dlpack = nb::object(nb::module_::import_("torch.utils.dlpack").attr("from_dlpack")).release().ptr();
    }
    return nb::handle(from_dlpack)(nb::cast(nb::ndarray<>(tensor.raw_data(), shape.size(), shape.data(), owner, nullptr,
                                                          array_dtype(tensor.dtype()), type, tensor.device().index)));
  }
  return nb::cast(nb::ndarray<nb::numpy>(tensor.raw_data(), shape.size(), shape.data(), owner, nullptr,
                                         array_dtype(tensor.dtype()), type, tensor.device().index));
}

Computing::Computing() {
  if (forked_inside) {
    fail<RunError>(
        "simclr: this process was forked while another thread was in a call of simclr; start worker processes before, "
        "or by multiprocessing's spawn");
  }
  ++inside;
  released_.emplace();
}

Computing::~Computing() {
  released_.reset();
  --inside;
}

void bind_errors() {
  static const ErrorClasses classes = {error_class("InputError"), error_class("RunError"), error_class("OutOfMemory")};
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const OutOfMemory& error) {
      PyErr_SetString(classes.out_of_memory, error.what());
    } catch (const RunError& error) {
      PyErr_SetString(classes.run, error.what());
    } catch (const Error& error) {
      PyErr_SetString(classes.input, error.what());
    } catch (const std::bad_alloc&) {
      PyErr_SetString(classes.out_of_memory, "simclr: out of memory on cpu");
    }
  });
  pthread_atfork(before_fork, nullptr, in_child);
}

}  // namespace simclr::python
