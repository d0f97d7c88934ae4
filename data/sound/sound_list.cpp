#include "../field_folder.h"

#include <simclr/data/sound/sound_io.h>
#include <simclr/data/sound/sound_list.h>

namespace simclr::data {
namespace {

FieldTableKind kind_of_sounds() {
  return {.sample = "recording",
          .kinds = read_sound_kinds(),
          .path_names = {"path", "filepath", "audiopath", "wavpath", "soundpath", "filename", "audiofile", "wavfile",
                         "soundfile", "audioname", "file", "audio", "wav", "fname", "slicefilename", "recording",
                         "sound", "clip"},
          .begin_names = {"start", "begin", "starttime", "begintime", "onset"},
          .end_names = {"end", "stop", "endtime", "stoptime"},
          .whole_names = {"slicefilename"},  // UrbanSound8K's slices
          .is_sample = is_sound_name,
          .has_ending =
              [](const std::string& text) {
                return is_sound_name(text) || !missing_sound_package(ending_of(text)).empty();
              },
          .missing_package = missing_sound_package};
}

}  // namespace

FieldList list_sounds(const std::string& dir, const std::string& pattern) {
  return list_folder(dir, pattern, kind_of_sounds(), [](const PathList& files, FieldList& list) {
    std::vector<std::string> others;
    for (const std::string& file : files) {
      if (is_sound_name(file)) {
        list.files.push_back(file);
      } else {
        others.push_back(file);
      }
    }
    return others;
  });
}

FieldList read_sound_table(const std::string& path) {
  return read_field_table(path, kind_of_sounds());
}

}  // namespace simclr::data
