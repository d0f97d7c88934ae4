#pragma once

// Private: lines of a file that nobody vouches for.

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// What stands between the tabs of a line, each without the blanks around it.
std::vector<std::string> tab_fields(std::string_view line);

/// Why a line is left out.
struct UnusableLine {
  std::string kind = {};  // what such lines are: "of more than 100000 bytes"
  std::string why = {};
};

/// Of a line of so many bytes; empty: it is not.
std::optional<UnusableLine> too_long(std::int64_t length);

/// Reads lines of any length, of each no more than most_text_bytes and one. They end with LF, CRLF or CR; a byte order
/// mark of UTF-8 does not count.
class LineReader {
 public:
  /// Throws Error for what is no file or cannot be opened, and for UTF-16.
  explicit LineReader(const std::string& path);

  /// The next line without its end; false behind the last.
  bool next();

  const std::string& text() const { return text_; }
  std::int64_t length() const { return length_; }  // bytes, those that were not kept too
  std::int64_t line() const { return line_; }

 private:
  std::ifstream file_;
  std::string text_;
  std::int64_t length_ = 0, line_ = 0;
};

}  // namespace simclr::data
