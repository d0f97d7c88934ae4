#pragma once

#include "common.h"

namespace simclr::python {

/// Adds simclr.Policy, which is data::Augmentation.
void bind_policy(nb::module_& m);

}  // namespace simclr::python
