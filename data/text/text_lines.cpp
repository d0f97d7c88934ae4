#include "../numbered_texts.h"
#include "line_reader.h"
#include "text_rows.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/table.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace simclr::data {
namespace {

// Kinds of lines that are left out which are no texts.
constexpr const char* not_utf8 = "not in UTF-8";
constexpr const char* with_zeros = "with a byte 0";

/// Whether the text can be taken; else it is left out with a word. `length`: of all of it, in bytes.
bool usable(TextList& list, std::int64_t line, std::string_view text, std::int64_t length) {
  if (const std::optional<UnusableLine> problem = too_long(length)) {
    list.leave_out(line, problem->kind, problem->why + "; put each sentence on a line of its own");
    return false;
  }
  if (text.find('\0') != std::string_view::npos) {
    list.leave_out(line, with_zeros, "holds a byte 0, which no text does");
    return false;
  }
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t character = utf8_length(text.substr(at));
    if (character == 0) {
      list.leave_out(line, not_utf8, "is no valid UTF-8 at its byte " + std::to_string(at + 1));
      return false;
    }
    at += character;
  }
  return true;
}

/// That there are texts, and that most lines are: of a few thousand bytes of anything some lines pass for UTF-8.
void check_any(const TextList& list) {
  constexpr std::int64_t few = 100;
  std::int64_t left_out = 0;
  for (const char* kind : {not_utf8, with_zeros}) {
    const auto found = list.left_out.find(kind);
    if (found != list.left_out.end()) left_out += found->second;
  }
  const std::string text = list.left_out.empty() ? "" : " (left out: " + list.left_out_text() + ")";
  SIMCLR_CHECK(list.size() > 0, printable(list.source()), ": holds no text", text);
  SIMCLR_CHECK(left_out < few || left_out < list.size(), printable(list.source()), ": most of its lines are no texts",
               text, "; give a file of text, or save it as UTF-8 (iconv -f latin1 -t utf-8)");
}

/// `take` is given each usable line, without the blanks around it.
template <class Take>
TextList read_lines(const std::string& path, const Take& take) {
  LineReader lines(path);
  TextList list(path);
  while (lines.next()) {
    const std::string_view text = trimmed(lines.text());
    if (text.empty() && lines.length() <= static_cast<std::int64_t>(most_text_bytes)) continue;
    if (usable(list, lines.line(), text, lines.length())) take(list, text, lines.line());
  }
  check_any(list);
  return list;
}

// Names of columns, as find_column() takes them, the likeliest first.
const std::vector<std::string_view> text_names = {
    "text",  "caption",  "sentence",  "review", "content", "body",  "comment",  "document",
    "tweet", "question", "utterance", "phrase", "message", "title", "abstract", "description"};
const std::vector<std::string_view> label_names = {"label", "labels", "class",  "sentiment", "category", "target",
                                                   "topic", "intent", "rating", "stars",     "polarity", "y"};
const std::vector<std::string_view> part_names = {"split", "part", "subset", "partition"};

class TableTexts {
 public:
  explicit TableTexts(const std::string& path) : path_(path) { table_.texts = TextList(path); }

  TextTable read() {
    TextRows rows(path_);
    while (rows.next()) {
      if (rows.problem().empty()) {
        row(rows.fields(), rows.line());
      } else {
        table_.texts.leave_out(rows.line(), rows.kind(), rows.problem());
      }
    }
    check_any(table_.texts);
    check_no_files();
    table_.texts.columns = said();
    table_.parts = parts_.take();
    if (part_ < 0) table_.part_of.clear();
    return std::move(table_);
  }

 private:
  void row(const std::vector<std::string>& fields, std::int64_t line) {
    const bool first = first_.empty();
    if (first) begin(fields);
    if (!first || !header_) take(fields, line);
  }

  void begin(const std::vector<std::string>& first) {
    first_ = first;
    text_ = column_of_texts(first);
    header_ = text_ >= 0;
    if (header_) {
      label_ = find_column(first, label_names);
      part_ = find_column(first, part_names);
      return;
    }
    const auto longest =
        std::max_element(first.begin(), first.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
    text_ = static_cast<int>(longest - first.begin());
    if (first.size() > 1) label_ = text_ == 0 ? 1 : 0;
  }

  void take(const std::vector<std::string>& fields, std::int64_t line) {
    const auto field = [&](int column) {
      return column < 0 ? std::string() : fields[static_cast<std::size_t>(column)];
    };
    const std::string text = field(text_);
    if (text.empty()) return table_.texts.leave_out(line, "without a text", "has no text");
    if (!usable(table_.texts, line, text, std::ssize(text))) return;
    table_.texts.add(text, line, field(label_));
    const std::string part = field(part_);
    table_.part_of.push_back(part.empty() ? -1 : parts_.number(part));
  }

  /// Throws where most of a column that has no name of a column of texts are named as files are.
  void check_no_files() const {
    if (header_) return;
    std::int64_t files = 0;
    for (std::int64_t i = 0; i < table_.texts.size(); ++i) files += looks_like_a_file(table_.texts[i]) ? 1 : 0;
    SIMCLR_CHECK(2 * files <= table_.texts.size(), printable(path_), ": the column ", text_ + 1,
                 " has the names of files, and no texts; call the column of texts text or caption in the first row");
  }

  std::string name_of(int column) const {
    return header_ ? first_[static_cast<std::size_t>(column)] : "column " + std::to_string(column + 1);
  }

  std::string said() const {
    std::string line = printable(path_) + (header_ ? ": texts from " : ": no header: texts from ") + name_of(text_);
    if (label_ >= 0) line += ", labels from " + name_of(label_);
    if (part_ >= 0) line += ", parts from " + name_of(part_);
    return printable(line);
  }

  const std::string path_;
  TextTable table_;
  bool header_ = false;
  std::vector<std::string> first_;
  int text_ = -1, label_ = -1, part_ = -1;
  NumberedTexts parts_;
};

}  // namespace

int column_of_texts(const std::vector<std::string>& header) {
  return find_column(header, text_names);
}

TextList read_text_lines(const std::string& path, const std::string& label) {
  TextList list = read_lines(
      path, [&label](TextList& into, std::string_view text, std::int64_t line) { into.add(text, line, label); });
  return list;
}

TextList read_question_lines(const std::string& path) {
  TextList list = read_lines(path, [](TextList& into, std::string_view text, std::int64_t line) {
    const std::size_t colon = text.find(':'), blank = text.find(' ');
    const std::string_view question = blank == std::string_view::npos ? "" : trimmed(text.substr(blank));
    if (colon == std::string_view::npos || colon == 0 || colon > blank || question.empty()) {
      return into.leave_out(line, "without a class", "does not begin with a class, as \"NUM:dist How far\" does");
    }
    into.add(question, line, std::string(text.substr(0, colon)));
  });
  list.sort_classes();
  return list;
}

TextTable read_text_table(const std::string& path) {
  TextTable table = TableTexts(path).read();
  table.texts.sort_classes();
  return table;
}

}  // namespace simclr::data
