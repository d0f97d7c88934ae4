#pragma once

// Private: tables of text that name a file and fields of each sample.

#include <simclr/data/field_list.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// What a table's rows are of.
struct FieldTableKind {
  std::string sample;  // "recording": what one is called
  std::string kinds;   // which can be read, for messages
  /// Names of columns, as find_column() takes them, the likeliest first: of the path, and of where a part of the file
  /// begins and ends, in seconds. Files of `whole_names` are whole: times beside them are those in what they were cut
  /// from.
  std::vector<std::string_view> path_names, begin_names = {}, end_names = {}, whole_names = {};
  std::function<bool(const std::string&path)> is_sample, has_ending;  // by its name; by which no header is known
  std::function<std::string(const std::string& ending)> missing_package;
};

/// Reads a table row by row, as sound_table.h says of recordings. Labels are what classes_of_labels() makes of them
/// (no_label.h); `columns` has a line more for each thing that it did. Throws Error for what is no table, where no row
/// names a sample, and where none of the files that are looked for is there.
FieldList read_field_table(const std::string& path, const FieldTableKind& kind);

}  // namespace simclr::data
