#pragma once

#include "train/datasets.h"

#include <simclr/data/path_list.h>
#include <simclr/data/sound/sound_list.h>

#include <cstdint>
#include <string>
#include <vector>

/// Where recordings lie and how they are parted.
struct SoundSource {
  std::string data = {};     // a folder, or a list
  std::string pattern = {};  // of a folder's names: data::list_sounds(); empty: its folders are the labels
  std::string test = {};     // FIELD=VALUES, or FIELD=20%; empty: as open_sounds() says
  std::int32_t rate = 0;     // Hz, of the samples
};

/// Whether --data names a list: a file.
bool is_sound_list(const std::string& data);

/// All recordings there: of a folder, by its folders or the pattern, or of a list (sound_table.h). Throws simclr::Error
/// where nothing is named or there, and for a pattern beside a list.
simclr::data::SoundList list_of_sounds(const std::string& data, const std::string& pattern);

/// What is trained and evaluated on. Of a folder that has one called train and one called test (part_names.h) these are
/// the parts, and the pattern is of the names within each; else what is tested on is what `test` names; else of a list
/// with a column "split" (part, set, subset) its test part; else a fifth of each label is kept, of segments whole
/// files. Values of a column that are of neither part are left out, and named. Where recordings have speakers, or are
/// segments, a line says how many speakers and files are in both parts. Throws simclr::Error as list_of_sounds() and
/// data::split_sounds() do, and for `test` beside such folders.
Datasets open_sounds(const SoundSource& source);

/// Whether the recordings have the field that `test` names, and no folders part them. Throws as list_of_sounds() does.
bool can_test(const SoundSource& source);

/// The files that open_sounds() may read, each once, and a list itself: paths from `dir`. Of a folder with parts all.
struct SoundFiles {
  std::string dir;
  simclr::data::PathList files;
};
SoundFiles files_of_sounds(const std::string& data, const std::string& pattern);

/// The folders that hold them, A::B: of a list those of its recordings; empty where none is named.
std::string folders_of_sounds(const std::string& data);

/// As refuse_in_data() of each path, and for the files that a list names and their folders, but for those that the list
/// itself lies in. Throws where a list cannot be read.
void refuse_in_sounds(const std::string& option, const std::vector<std::string>& paths, const std::string& data);
