#pragma once

#include "modalities/kinds.h"

#include <memory>

/// Clips as the programs see them that take weights.
std::unique_ptr<Kind> clip_kind();
