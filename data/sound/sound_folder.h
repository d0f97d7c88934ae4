#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/field_list.h>
#include <simclr/data/sound/sound_io.h>

#include <cstdint>
#include <memory>

namespace simclr::data {

/// A recording as a sample, f32 [samples].
SIMCLR_API Sample sound_sample(Sound sound, std::int32_t label = -1);

/// Recordings as a data set: sample i is f32 [samples] of one channel at `rate` Hz, of any length, decoded when it is
/// asked for (read_sound() has kinds and limits); decoded_cache.h keeps them. Its label is that of the list's field
/// "label", and the classes are the field's values; without such a field there are none. Throws Error for a list
/// without recordings and for a rate that is not possible. A recording that cannot be read throws from sample().
SIMCLR_API std::unique_ptr<Dataset> sound_folder(FieldList list, std::int32_t rate);

}  // namespace simclr::data
