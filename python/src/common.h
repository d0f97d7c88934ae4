#pragma once

// What the bindings share: arrays of Python as tensors and back, errors, and the global interpreter lock.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <simclr/core/error.h>
#include <simclr/core/tensor.h>

#include <initializer_list>
#include <optional>
#include <string>

namespace simclr::python {

namespace nb = nanobind;

/// Becomes simclr.RunError, a RuntimeError: not the arguments are at fault. A plain simclr::Error becomes
/// simclr.InputError, a ValueError, and simclr::OutOfMemory simclr.OutOfMemory.
class RunError : public Error {
 public:
  using Error::Error;
};

/// Whose arrays a caller works with.
enum class Framework { numpy, torch };

/// torch for a torch.Tensor, numpy for everything else.
Framework framework_of(nb::handle array);

/// Views a NumPy array, a torch tensor or another array with DLPack, without a copy; the array lives as long as the
/// tensor. `name` is the argument's, for messages. Throws Error, saying what is wrong and how to mend it, for
/// what is no array, a dtype that the library has not, a device that it cannot use, and values that are not
/// contiguous and row-major. The result must not be written to.
Tensor as_tensor(nb::handle array, const char* name);
/// The same with the dtypes that are allowed.
Tensor as_tensor(nb::handle array, const char* name, std::initializer_list<DType> dtypes);
/// An undefined tensor for None.
Tensor as_optional_tensor(nb::handle array, const char* name);

/// A NumPy array (Error for bf16, which NumPy has not, and for a GPU's memory) or a torch tensor over the tensor's
/// memory, without a copy. None for an undefined tensor.
nb::object to_array(const Tensor& tensor, Framework framework);

/// While one lives, the global interpreter lock is released: wrap each call of the library that computes or reads
/// files in one, and touch nothing of Python meanwhile. Throws RunError in a process that was forked while another
/// thread was inside one: locks may have been taken along that nobody will open.
class Computing {
 public:
  Computing();
  ~Computing();
  Computing(const Computing&) = delete;
  Computing& operator=(const Computing&) = delete;

 private:
  std::optional<nb::gil_scoped_release> released_;
};

/// Bytes of Python as they are, and back: paths need be no UTF-8.
inline std::string text_of(const nb::bytes& bytes) {
  return {bytes.c_str(), bytes.size()};
}
inline nb::bytes bytes_of(const std::string& text) {
  return nb::bytes(text.data(), text.size());
}

/// Makes C++ exceptions those of simclr._errors. Called once, by the module.
void bind_errors();

// Each file of functions adds them to the module.
void bind_library(nb::module_& m);   // library.cpp: build_info, threads
void bind_losses(nb::module_& m);    // losses.cpp: NT-Xent, similarity, attention, LARS, for simclr.torch
void bind_augment(nb::module_& m);   // augment.cpp
void bind_evaluate(nb::module_& m);  // evaluate.cpp
void bind_encoder(nb::module_& m);   // encoder.cpp: trained encoders, in builds with the programs
void bind_train(nb::module_& m);     // train.cpp: a training program's run, in these

}  // namespace simclr::python
