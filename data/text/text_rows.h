#pragma once

// Private: rows of a table that may hold texts.

#include "line_reader.h"

#include <simclr/data/table.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// As the name of a file is: without a blank, and with an ending.
bool looks_like_a_file(std::string_view value);

/// As TableReader reads them; but in a .tsv in which quotes that a line leaves open are no fields of several lines, a
/// quote is text, but around a field whose own are doubled, and each line is a row, of at most most_text_bytes.
class TextRows {
 public:
  /// Throws Error as TableReader does.
  explicit TextRows(const std::string& path);

  /// Goes to the next row; false behind the last. Throws Error as TableReader does.
  bool next();
  /// Of this row.
  const std::vector<std::string>& fields() const { return fields_; }
  /// Where it begins, from 1.
  std::int64_t line() const { return line_; }
  /// Why the row cannot be used: "has 3 fields, the first row 2"; empty: it can.
  const std::string& problem() const { return problem_.why; }
  /// What such rows are: "of another number of fields".
  const std::string& kind() const { return problem_.kind; }

 private:
  bool next_line();

  std::optional<LineReader> lines_;
  std::optional<TableReader> table_;  // where there are no lines_
  std::vector<std::string> fields_;
  std::size_t columns_ = 0;  // of the first row
  std::int64_t line_ = 0;
  UnusableLine problem_;
};

}  // namespace simclr::data
