#pragma once

#include <simclr/core/export.h>
#include <simclr/data/fields.h>
#include <simclr/data/path_list.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// A part of a file, in seconds.
struct TimeRange {
  double begin = 0.0, end = std::numeric_limits<double>::infinity();

  bool whole() const { return begin == 0.0 && end == std::numeric_limits<double>::infinity(); }
  bool operator==(const TimeRange&) const = default;
};

/// Samples that are files, folders of files or parts of files, and what is known of them.
struct FieldList {
  std::string dir = {};
  PathList files = {};                     // paths from `dir`, or absolute
  std::vector<TimeRange> times = {};       // of each; empty: all are whole
  std::vector<Field> fields = {};          // the classes are the values of the one called "label"
  std::string source = {};                 // what names the samples, if not `dir`: "digits.csv"
  std::string sample = "sample";           // what one is called: "recording"
  std::vector<std::string> left_out = {};  // "3 .txt files": what is there and is not read, counted
  std::vector<std::string> warnings = {};  // a line for each folder that could not be listed, or for rows of a list
  std::string columns = {};                // of a list: which column was taken for what, in a line

  std::size_t size() const { return files.size(); }
  /// Whose they are, for messages.
  FieldOwner owner() const { return {.place = source.empty() ? dir : source, .sample = sample}; }
  /// Where sample `i` lies.
  SIMCLR_API std::string path(std::size_t i) const;
  /// What sample `i` is called: its path from `dir`, and of a part its seconds: "a.wav 0.5-1.25", "a.wav 2-".
  SIMCLR_API std::string name(std::size_t i) const;
  /// A field by its name; null: there is none.
  const Field* field(std::string_view name) const { return find_field(fields, name); }
  /// `left_out` in one line, " (left out: 3 .txt files)"; empty: nothing is.
  SIMCLR_API std::string left_out_text() const;
};

/// The samples of these numbers, with the values that occur among them; with `keep_labels` their classes are those of
/// the whole list. Throws Error for a number outside the list.
SIMCLR_API FieldList selected_samples(const FieldList& list, const std::vector<std::uint32_t>& which,
                                      bool keep_labels = false);

/// Two parts of a list, neither empty.
struct FieldListParts {
  FieldList train, test;
};

/// By a field, as split_by_field() has it: by "take" a part of each speaker's recordings, by "speaker" or "session"
/// whole ones, so that none is in both. Samples without a value are in neither; train's `left_out` counts them. Train
/// and test know the same classes, those of the whole list.
SIMCLR_API FieldListParts split_list(const FieldList& list, const std::string& field,
                                     const std::vector<std::string>& test_values);

}  // namespace simclr::data
