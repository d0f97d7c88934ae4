#pragma once

#include <simclr/core/export.h>
#include <simclr/data/fields.h>
#include <simclr/data/path_list.h>
#include <simclr/data/sound/sound_io.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// What is known of each recording by one name: its "label", its "speaker", its "fold".
using SoundField = Field;

/// Recordings, or segments of them, and what is known of them.
struct SoundList {
  std::string dir;
  PathList files;                           // paths from `dir`, or absolute
  std::vector<SoundSegment> segments = {};  // of each; empty: all are whole
  std::vector<SoundField> fields = {};      // the classes are the values of the one called "label"
  std::string source = {};                  // what names the recordings, if not `dir`: "digits.csv"
  std::vector<std::string> left_out = {};   // "3 .txt files": what is there and is not read, counted
  std::vector<std::string> warnings = {};   // a line for each folder that could not be listed, or for rows of a list
  std::string columns = {};                 // of a list: which column was taken for what, in a line

  std::size_t size() const { return files.size(); }
  /// What names the recordings, for messages.
  const std::string& place() const { return source.empty() ? dir : source; }
  /// Where recording `i` lies.
  SIMCLR_API std::string path(std::size_t i) const;
  /// What recording `i` is called: its path from `dir`, and of a segment its seconds: "a.wav 0.5-1.25", "a.wav 2-".
  SIMCLR_API std::string name(std::size_t i) const;
  /// A field by its name, upper or lower case; null: there is none.
  SIMCLR_API const SoundField* field(std::string_view name) const;
};

/// Lists the recordings of a folder and of all folders below it: files that is_sound_name() knows. Links are followed;
/// hidden folders, and links that lead back, are left out. Without `pattern` the folders right below `dir` are the
/// labels, and recordings in `dir` itself have none.
///
/// A pattern says where a file's name holds what: "{label}_{speaker}_{take}.wav" makes three fields of 3_theo_17.wav. A
/// field reaches to the first place where the text behind it goes on, the last one to the end; "{}" is passed over.
/// With folders in it, "{label}/{speaker}_nohash_{}.wav", it is compared with as many of the path's. The ending does
/// not count. A recording whose name does not fit is left out, and the first three are named.
///
/// Throws Error where there is no such folder or no recording, for recordings both in `dir` and in folders below it
/// (without a pattern), for a pattern that cannot be meant, and where no name fits it.
SIMCLR_API SoundList list_sounds(const std::string& dir, const std::string& pattern = "");

/// The recordings of these numbers, with the values that occur among them. Throws Error for a number outside the list.
SIMCLR_API SoundList selected_sounds(const SoundList& list, const std::vector<std::uint32_t>& which);

/// Two parts of a list, neither empty.
struct SoundParts {
  SoundList train, test;
};

/// Test is what has one of `test_values` in that field, train all else that has a value there: by "take" a part of each
/// speaker's recordings, by "speaker" or "fold" whole speakers, so that none is in both. Recordings
/// without a value are in neither; train's `left_out` counts them. Train and test know the same classes, those of the
/// whole list. Throws Error for a field or a value that is not there, and for an empty
/// part.
SIMCLR_API SoundParts split_sounds(const SoundList& list, const std::string& field,
                                   const std::vector<std::string>& test_values);

/// Values of a field for split_sounds(), a `share` of all, at least one and not all: which ones is a function of the
/// seed and of their names.
SIMCLR_API std::vector<std::string> drawn_values(const SoundList& list, const std::string& field, double share,
                                                 std::uint64_t seed);

/// Values of that field that both lists have: of "speaker" the speakers that are trained on and tested with.
SIMCLR_API std::vector<std::string> shared_values(const SoundList& a, const SoundList& b, const std::string& field);

}  // namespace simclr::data
