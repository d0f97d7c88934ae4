#include "common.h"

#include <nanobind/stl/string.h>
#include <simclr/core/parallel.h>
#include <simclr/core/runtime.h>
#include <simclr/simclr.h>

#include <limits>
#include <string>

namespace simclr::python {
namespace {

nb::dict build_info() {
  nb::dict info;
  info["version"] = SIMCLR_VERSION;
  info["compiler"] = SIMCLR_PYTHON_COMPILER;
  info["build_type"] = SIMCLR_PYTHON_BUILD_TYPE;
  info["native"] = static_cast<bool>(SIMCLR_PYTHON_NATIVE);
  info["features"] = nb::list(nb::str(SIMCLR_PYTHON_FEATURES).attr("split")());
  nb::dict devices;
  devices["cpu"] = "";
  devices["cuda"] = device_problem(DeviceType::cuda);
  info["devices"] = devices;
  info["threads"] = threads();
  return info;
}

/// Any int of Python's: one that no int of C++ holds is out of range, too.
void set_threads_to(nb::handle count) {
  const auto shown = [&] { return nb::cast<std::string>(nb::repr(count)); };
  const nb::object whole = nb::steal(nb::isinstance<nb::bool_>(count) ? nullptr : PyNumber_Index(count.ptr()));
  if (!whole.is_valid()) {
    PyErr_Clear();
    fail("threads: count must be an int, not ", shown());
  }
  const int before = threads();
  int wanted = 0;
  if (nb::try_cast(whole, wanted)) {
    set_threads(wanted);
    if (threads() == wanted) return;
  } else {
    SIMCLR_CHECK(whole > nb::int_(0), "threads: ", shown(), ", at least 1 is needed");
    set_threads(std::numeric_limits<int>::max());
  }
  const int most = threads();  // the library takes as many where more are asked for
  set_threads(before);
  fail("threads: ", shown(), ", at most ", most, " are taken");
}

}  // namespace

void bind_library(nb::module_& m) {
  m.def("build_info", &build_info,
        "What this build is: version, compiler, build_type, native (whether compiled for the building machine's\n"
        "processor alone), features (optional libraries that are in it), devices (a device's name to \"\", or to what\n"
        "keeps it from being used here) and threads (that its kernels use).");
  m.def("set_threads", &set_threads_to, nb::arg("count").none(), nb::sig("def set_threads(count: int) -> None"),
        "How many threads the CPU kernels use, at least 1. It changes no result. Raises InputError, a ValueError, for\n"
        "what is no int, and for more than the library takes.");
  m.def("threads", &threads, "How many threads the CPU kernels use.");
}

}  // namespace simclr::python
