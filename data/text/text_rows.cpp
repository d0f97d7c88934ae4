#include "text_rows.h"

#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

/// Without the quotes around a field whose own are doubled, as spreadsheets write it. Other quotes are text.
std::string unquoted(std::string field) {
  if (field.size() < 2 || field.front() != '"' || field.back() != '"') return field;
  std::string text;
  for (std::size_t i = 1; i + 1 < field.size(); ++i) {
    if (field[i] == '"' && (++i + 1 >= field.size() || field[i] != '"')) return field;
    text += field[i];
  }
  return text;
}

/// Whether the last field of a line begins with a quote that is not closed in it.
bool leaves_a_quote_open(std::string_view line) {
  const std::string_view last = trimmed(line.substr(line.rfind('\t') + 1));
  return last.starts_with('"') && std::count(last.begin(), last.end(), '"') % 2 == 1;
}

/// Whether a table is of lines with tabs in which a quote is a character like others, as most sets of texts are
/// published, and RFC 4180 would make one field of many lines: lines that leave a quote open are mostly followed by one
/// with as many tabs as the first line, and not by the rest of a field.
bool is_plain_tsv(const std::string& path) {
  const std::string ending = lower_case(fs::path(path).extension().string());
  if (ending != ".tsv" && ending != ".tab") return false;
  LineReader lines(path);
  std::int64_t tabs = -1, followed_by_rows = 0, followed_by_others = 0;
  bool open = false;
  while (lines.next()) {
    if (trimmed(lines.text()).empty()) continue;
    const std::int64_t found = std::count(lines.text().begin(), lines.text().end(), '\t');
    if (tabs < 0) tabs = found;
    if (open) ++(found == tabs ? followed_by_rows : followed_by_others);
    open = found == tabs && leaves_a_quote_open(lines.text());
  }
  return tabs > 0 && followed_by_rows >= followed_by_others;
}

}  // namespace

std::vector<TextRow> read_text_rows(const std::string& path) {
  std::vector<TextRow> all;
  for (TextRows rows(path); rows.next();) all.push_back({rows.line(), rows.fields(), rows.problem()});
  return all;
}

bool looks_like_a_file(std::string_view value) {
  const std::size_t dot = value.rfind('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < value.size() && value.size() - dot <= 6 &&
         value.find(' ') == std::string_view::npos;
}

TextRows::TextRows(const std::string& path) {
  if (is_plain_tsv(path)) {
    lines_.emplace(path);
  } else {
    table_.emplace(path);
  }
}

bool TextRows::next() {
  problem_ = {};
  if (lines_) return next_line();
  if (!table_->next()) return false;
  line_ = table_->line();
  fields_ = table_->fields();
  if (!table_->problem().empty()) problem_ = {"that cannot be read", table_->problem()};
  return true;
}

bool TextRows::next_line() {
  do {
    if (!lines_->next()) return false;
  } while (trimmed(lines_->text()).empty());
  line_ = lines_->line();
  if (const std::optional<UnusableLine> problem = too_long(lines_->length())) {
    problem_ = *problem;
    return true;
  }
  fields_ = tab_fields(lines_->text());
  for (std::string& field : fields_) field = unquoted(std::move(field));
  if (columns_ == 0) columns_ = fields_.size();
  while (fields_.size() > columns_ && fields_.back().empty()) fields_.pop_back();
  if (fields_.size() != columns_) {
    problem_ = {"of another number of fields",
                "has " + counted(std::ssize(fields_), "field") + ", the first row " + std::to_string(columns_)};
  }
  return true;
}

}  // namespace simclr::data
