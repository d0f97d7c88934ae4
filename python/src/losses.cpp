#include "common.h"

namespace simclr::python {

void bind_losses(nb::module_&) {}

}  // namespace simclr::python
