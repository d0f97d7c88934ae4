#pragma once

#include "train/embedding.h"

#include <simclr/data/sound/sound_io.h>

#include <cstdint>
#include <functional>
#include <string>

/// A recording as a sample, f32 [samples].
simclr::data::Sample recording(simclr::data::Sound sound, std::int32_t label = -1);

/// All recordings of a folder, those below it too, or of a list, f32 [samples] at this rate, named by their paths from
/// it ("cats/1.wav"); segments with their seconds, "cats/1.wav 0.5-1.25". Throws simclr::Error as list_of_sounds()
/// does.
NamedSamples named_sounds(const std::string& place, std::int32_t rate,
                          const std::function<void(const std::string&)>& on_warning);
