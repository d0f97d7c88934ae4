#include "common.h"

namespace simclr::python {

void bind_evaluate(nb::module_&) {}

}  // namespace simclr::python
