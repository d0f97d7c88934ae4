#include "common.h"

#include <nanobind/stl/string.h>
#include <simclr/core/parallel.h>
#include <simclr/core/runtime.h>
#include <simclr/simclr.h>

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

}  // namespace

void bind_library(nb::module_& m) {
  m.def("build_info", &build_info,
        "What this build is: version, compiler, build_type, native (whether compiled for the building machine's\n"
        "processor alone), features (optional libraries that are in it), devices (a device's name to \"\", or to what\n"
        "keeps it from being used here) and threads (that its kernels use).");
  m.def("set_threads", &set_threads, nb::arg("count"),
        "How many threads the CPU kernels use, at least 1. It changes no result.");
  m.def("threads", &threads, "How many threads the CPU kernels use.");
}

}  // namespace simclr::python
