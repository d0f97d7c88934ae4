#include "line_reader.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>

#include <filesystem>

namespace simclr::data {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

LineReader::LineReader(const std::string& path) {
  std::error_code error;
  SIMCLR_CHECK(std::filesystem::exists(path, error), printable(path), ": there is no such file");
  SIMCLR_CHECK(std::filesystem::is_regular_file(path, error), printable(path),
               ": is no file; give one of lines, or a table");
  file_.open(path, std::ios::binary);
  SIMCLR_CHECK(file_.good(), printable(path), ": cannot be opened");
  char mark[3] = {};
  file_.read(mark, 3);
  const std::string_view first(mark, static_cast<std::size_t>(file_.gcount()));
  SIMCLR_CHECK(!first.starts_with("\xff\xfe") && !first.starts_with("\xfe\xff"), printable(path),
               ": is text of UTF-16; save it as UTF-8");
  file_.clear();
  file_.seekg(first == "\xef\xbb\xbf" ? 3 : 0);
}

bool LineReader::next() {
  constexpr int end = std::char_traits<char>::eof();
  std::streambuf& in = *file_.rdbuf();
  text_.clear();
  length_ = 0;
  int c = in.sbumpc();
  if (c == end) return false;
  ++line_;
  for (; c != end && c != '\n' && c != '\r'; c = in.sbumpc()) {
    if (++length_ <= static_cast<std::int64_t>(most_text_bytes) + 1) text_ += static_cast<char>(c);
  }
  if (c == '\r' && in.sgetc() == '\n') in.sbumpc();
  return true;
}

}  // namespace simclr::data
