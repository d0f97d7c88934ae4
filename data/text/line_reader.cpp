#include "line_reader.h"
#include "../text_file.h"

#include <simclr/data/text/text_list.h>

#include <algorithm>

namespace simclr::data {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r' || c == '\n';
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> tab_fields(std::string_view line) {
  std::vector<std::string> fields;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find('\t', at), line.size());
    fields.emplace_back(trimmed(line.substr(at, end - at)));
    at = end + 1;
  }
  return fields;
}

std::optional<UnusableLine> too_long(std::int64_t length) {
  if (length <= static_cast<std::int64_t>(most_text_bytes)) return std::nullopt;
  const std::string most = std::to_string(most_text_bytes);
  return UnusableLine{"of more than " + most + " bytes",
                      "has " + std::to_string(length) + " bytes, and a text at most " + most};
}

LineReader::LineReader(const std::string& path) : file_(open_text(path, "give a file of lines, or a table")) {}

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
