#pragma once

#include <simclr/core/export.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// Whether a file is a table of text by its name: .csv, .tsv or .tab.
SIMCLR_API bool is_table_name(const std::string& path);

/// Reads a table of text row by row: CSV (RFC 4180), TSV, and CSV parted by ";" as spreadsheets write it where the
/// comma is the decimal point, or by "|". Lines before it that begin with "#" and are not parted are left out; where
/// the table has one column, those alone that go on with a blank or not at all. Fields may be quoted, and then hold
/// line breaks and, doubled, quotes. Lines end with LF, CRLF or CR; those without a value do not count, nor do blanks
/// around fields and a byte order mark of UTF-8.
class SIMCLR_API TableReader {
 public:
  /// Fields are parted by tabs where the name ends in .tsv or .tab and the first line has one, else by what parts the
  /// first line: a comma where there is one outside of quotes, else ";", else a tab, else "|". A first line "sep=;"
  /// says it, too. Throws Error for what is no file or cannot be opened, and for UTF-16.
  explicit TableReader(const std::string& path);

  /// Goes to the next row; false behind the last. Throws Error for bytes 0, a line of more than 16 MiB, and where more
  /// than a hundred rows of several lines have a problem().
  bool next();
  /// Of this row.
  const std::vector<std::string>& fields() const { return fields_; }
  /// Where it begins, from 1.
  std::int64_t line() const { return line_; }
  /// Why the row cannot be used: "has 3 fields, the first row 2"; empty: it can. A quote that is not closed spoils its
  /// own line alone. Empty fields behind the first row's do not count.
  const std::string& problem() const { return problem_; }

 private:
  bool is_comment(std::string_view line) const;
  bool read_line(std::string& line);
  void split();
  bool quoted_field(std::size_t& at, std::string& field);
  void count_fields();

  std::string path_;
  std::ifstream file_;
  char separator_ = ',';
  bool parted_ = false;         // the first line that is no comment
  std::size_t columns_ = 0;     // of the first row
  std::int64_t read_ = 0;       // lines
  std::int64_t line_ = 0;       // the row's first
  std::streamoff behind_ = -1;  // the row's first line in the file, where it has more than one
  std::int64_t reread_ = 0;     // rows whose further lines were read again
  std::string text_;            // of the row
  std::string problem_;
  std::vector<std::string> fields_;
};

/// The column that a header calls by the first of `names` that it has; -1: none of them. Upper and lower case, blanks,
/// "_", "-" and "#" do not count; `names` are in lower case, without these.
SIMCLR_API int find_column(const std::vector<std::string>& header, const std::vector<std::string_view>& names);

}  // namespace simclr::data
