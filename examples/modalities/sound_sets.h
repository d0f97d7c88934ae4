#pragma once

#include "modalities/listed_sets.h"

#include <cstdint>

/// Recordings of a folder or of a list (sound_list.h), f32 at this rate.
ListedKind sound_files_at(std::int32_t rate);
