#include "text_file.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/path_list.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace simclr::data {
namespace {

constexpr std::size_t most_text = std::size_t{1} << 24;  // bytes of a row
constexpr std::int64_t most_reread = 100;                // rows

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// What parts the fields of this line.
char separator_in(std::string_view line) {
  char found = ',';
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == ',') return ',';
    if (c == ';' || (c == '\t' && found != ';') || (c == '|' && found == ',')) found = c;
  }
  return found;
}

bool is_parted(std::string_view line) {
  return line.find_first_of(",;\t|") != std::string_view::npos;
}

/// A line that begins as words before a table do, and no field can be told from.
bool may_be_comment(std::string_view line) {
  return line.starts_with('#') && !is_parted(line);
}

/// Upper and lower case, blanks, "_", "-" and "#" left aside.
std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (!is_blank(c) && c != '_' && c != '-' && c != '#') plain += c;
  }
  return lower_case(plain);
}

}  // namespace

bool is_table_name(const std::string& path) {
  const std::string ending = ending_of(path);
  return ending == ".csv" || ending == ".tsv" || ending == ".tab";
}

TableReader::TableReader(const std::string& path)
    : path_(path), file_(open_text(path, "give a table, which is a file")) {
  const std::streamoff begin = file_.tellg();
  std::string line;
  while ((line.empty() || may_be_comment(line)) && read_line(line)) {
  }
  parted_ = is_parted(line);
  const bool says = line.size() == 5 && line.starts_with("sep=");
  const std::string ending = plain_name(std::filesystem::path(path).extension().string());
  const bool tabs = (ending == ".tsv" || ending == ".tab") && line.find('\t') != std::string::npos;
  separator_ = says ? line.back() : tabs ? '\t' : separator_in(line);
  if (says) return;
  file_.clear();
  file_.seekg(begin);
  read_ = 0;
}

bool TableReader::next() {
  fields_.clear();
  problem_.clear();
  do {
    if (!read_line(text_)) return false;
    line_ = read_;
  } while (std::all_of(text_.begin(), text_.end(), [this](char c) { return is_blank(c) || c == separator_; }) ||
           (columns_ == 0 && is_comment(text_)));
  behind_ = -1;
  split();
  if (problem_.empty()) {
    count_fields();
  } else if (behind_ >= 0) {  // the lines that the row took are rows of their own
    SIMCLR_CHECK(++reread_ <= most_reread, printable(path_), ", line ", line_, ": ", problem_,
                 ", as in a hundred rows before: this is no table");
    file_.rdbuf()->pubseekoff(behind_, std::ios::beg, std::ios::in);
    read_ = line_;
  }
  return true;
}

/// In a table of one column "#1.png" is a value, and the blank behind it tells a comment.
bool TableReader::is_comment(std::string_view line) const {
  return may_be_comment(line) && (parted_ || line.size() == 1 || is_blank(line[1]));
}

/// Without its end.
bool TableReader::read_line(std::string& line) {
  constexpr int end = std::char_traits<char>::eof();
  std::streambuf& in = *file_.rdbuf();
  line.clear();
  int c = in.sbumpc();
  if (c == end) return false;
  ++read_;
  for (; c != end && c != '\n' && c != '\r'; c = in.sbumpc()) {
    SIMCLR_CHECK(c != 0 && line.size() < most_text, printable(path_), ", line ", read_,
                 c == 0 ? ": holds a byte 0: this is no text, or text of UTF-16; save it as UTF-8"
                        : ": is longer than 16 MiB: this is no table");
    line += static_cast<char>(c);
  }
  if (c == '\r' && in.sgetc() == '\n') in.sbumpc();
  return true;
}

void TableReader::split() {
  for (std::size_t at = 0;; ++at) {
    while (at < text_.size() && is_blank(text_[at]) && text_[at] != separator_) ++at;
    std::string field;
    if (at < text_.size() && text_[at] == '"') {
      if (!quoted_field(at, field)) return;
    } else {
      const std::size_t end = std::min(text_.find(separator_, at), text_.size());
      field = trimmed(std::string_view(text_).substr(at, end - at));
      at = end;
    }
    fields_.push_back(std::move(field));
    if (at == text_.size()) return;
  }
}

/// From the quote at `at` to the separator behind the field; false: it is none.
bool TableReader::quoted_field(std::size_t& at, std::string& field) {
  std::string more;
  for (++at;; ++at) {
    if (at == text_.size()) {  // the quotes hold a line break
      if (behind_ < 0) behind_ = file_.rdbuf()->pubseekoff(0, std::ios::cur, std::ios::in);
      if (text_.size() >= most_text || !read_line(more)) break;
      text_ += '\n' + more;
      field += '\n';
    } else if (text_[at] != '"') {
      field += text_[at];
    } else if (at + 1 < text_.size() && text_[at + 1] == '"') {
      field += text_[++at];
    } else {
      ++at;
      while (at < text_.size() && is_blank(text_[at]) && text_[at] != separator_) ++at;
      if (at == text_.size() || text_[at] == separator_) return true;
      break;
    }
  }
  problem_ = at < text_.size() ? "has text behind a closing quote" : "has a quote that is not closed";
  return false;
}

void TableReader::count_fields() {
  if (columns_ == 0) columns_ = fields_.size();
  while (fields_.size() > columns_ && fields_.back().empty()) fields_.pop_back();
  if (fields_.size() == columns_) return;
  problem_ = "has " + counted(std::ssize(fields_), "field") + ", the first row " + std::to_string(columns_);
}

int find_column(const std::vector<std::string>& header, const std::vector<std::string_view>& names) {
  for (const std::string_view name : names) {
    const auto found =
        std::find_if(header.begin(), header.end(), [&](const auto& column) { return plain_name(column) == name; });
    if (found != header.end()) return static_cast<int>(found - header.begin());
  }
  return -1;
}

}  // namespace simclr::data
