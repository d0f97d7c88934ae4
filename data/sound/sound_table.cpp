#include "../field_table.h"

#include <simclr/data/sound/sound_table.h>

#include <utility>

namespace simclr::data {

SoundList read_sound_table(const std::string& path) {
  const FieldTableKind kind{.sample = "recording",
                            .kinds = read_sound_kinds(),
                            .path_names = {"path", "filepath", "audiopath", "wavpath", "soundpath", "filename",
                                           "audiofile", "wavfile", "soundfile", "audioname", "file", "audio", "wav",
                                           "fname", "slicefilename", "recording", "sound", "clip"},
                            .begin_names = {"start", "begin", "starttime", "begintime", "onset"},
                            .end_names = {"end", "stop", "endtime", "stoptime"},
                            .whole_names = {"slicefilename"},  // UrbanSound8K's slices
                            .is_sample = is_sound_name,
                            .has_ending =
                                [](const std::string& text) {
                                  return is_sound_name(text) || !missing_sound_package(ending_of(text)).empty();
                                },
                            .missing_package = missing_sound_package};
  FieldTable table = read_field_table(path, kind);
  SoundList list{.dir = std::move(table.dir),
                 .files = std::move(table.files),
                 .fields = std::move(table.fields),
                 .source = path,
                 .left_out = std::move(table.left_out),
                 .warnings = std::move(table.warnings),
                 .columns = std::move(table.columns)};
  for (const TimeRange& time : table.times) list.segments.push_back({time.begin, time.end});
  return list;
}

}  // namespace simclr::data
