#include "modalities/sound_sets.h"

#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_io.h>
#include <simclr/data/sound/sound_list.h>

namespace data = simclr::data;

ListedKind sound_files_at(std::int32_t rate) {
  return {.sample = "recording",
          .group_names = {"speaker", "speaker_id", "client_id", "subject"},
          .folder = data::list_sounds,
          .table = data::read_sound_table,
          .is_sample = data::is_sound_name,
          .open = [rate](const data::FieldList& list, std::size_t) { return data::sound_folder(list, rate); }};
}
