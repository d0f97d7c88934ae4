#include "line_reader.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/text/role_list.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace simclr::data {
namespace {

constexpr std::size_t most_words = 1000, sense_field = 10;
constexpr std::int64_t most_named = 3;

using Fields = std::vector<std::string>;

bool says_nothing(const std::string& field) {
  return field.empty() || field == "_";
}

/// A sentence while its lines come.
class Sentence {
 public:
  explicit Sentence(RoleList& list, std::string file) : list_(list), file_(std::move(file)) {}

  void add(std::string_view text, std::int64_t length, std::int64_t line) {
    if (first_ == 0) first_ = line;
    if (!kind_.empty()) return;
    if (length > static_cast<std::int64_t>(most_text_bytes)) {
      return spoil("with a line that is too long", "has more than " + std::to_string(most_text_bytes) + " bytes", line);
    }
    if (!is_utf8(text) || text.find('\0') != std::string_view::npos) {
      return spoil("not in UTF-8", "is no valid UTF-8", line);
    }
    Fields fields = tab_fields(text);
    if (fields[0].find_first_not_of("0123456789") != std::string::npos) {
      if (fields[0].find_first_not_of("0123456789-.") == std::string::npos) return;
      return spoil("with a line without a number", "does not begin with a word's number and a tab", line);
    }
    if (fields.size() <= sense_field || fields[1].empty()) {
      return spoil("with a line that lacks fields", "has no word, or no field 11, where a predicate's sense stands",
                   line);
    }
    if (rows_.size() == most_words) {
      return spoil("that is too long", "is of a sentence of more than " + std::to_string(most_words) + " words", line);
    }
    rows_.push_back(std::move(fields));
  }

  void end() {
    if (first_ > 0 && kind_.empty()) finish();
    if (!kind_.empty()) ++list_.left_out[kind_];
    rows_.clear();
    kind_.clear();
    first_ = 0;
  }

 private:
  void spoil(const std::string& kind, const std::string& problem, std::int64_t line) {
    kind_ = kind;
    if (std::ssize(list_.warnings) < most_named) {
      list_.warnings.push_back(printable(file_) + ", line " + std::to_string(line) + ": " + problem +
                               " (its sentence is left out)");
    }
  }

  void finish() {
    RoleSentence sentence;
    for (const Fields& row : rows_) sentence.words.push_back(row[1]);
    for (std::size_t word = 0; word < rows_.size(); ++word) {
      if (says_nothing(rows_[word][sense_field])) continue;
      const std::size_t field = sense_field + 1 + sentence.predicates.size();
      Predicate predicate{.word = static_cast<std::int64_t>(word), .roles = {}};
      for (const Fields& row : rows_) {
        if (field >= row.size()) return spoil("with a predicate without roles", "its sentence lacks roles", first_);
        predicate.roles.push_back(says_nothing(row[field]) ? "" : row[field]);
      }
      sentence.predicates.push_back(std::move(predicate));
    }
    if (!sentence.words.empty()) list_.sentences.push_back(std::move(sentence));
  }

  RoleList& list_;
  std::string file_;
  std::vector<Fields> rows_;
  std::string kind_;        // of what is wrong with it; empty: nothing
  std::int64_t first_ = 0;  // line; 0: none yet
};

}  // namespace

RoleList read_role_list(const std::string& path) {
  LineReader lines(path);
  RoleList list;
  Sentence sentence(list, path);
  while (lines.next()) {
    if (trimmed(lines.text()).empty() && lines.length() <= static_cast<std::int64_t>(most_text_bytes)) {
      sentence.end();
    } else if (!lines.text().starts_with('#')) {
      sentence.add(lines.text(), lines.length(), lines.line());
    }
  }
  sentence.end();
  const bool any = std::any_of(list.sentences.begin(), list.sentences.end(),
                               [](const RoleSentence& each) { return !each.predicates.empty(); });
  SIMCLR_CHECK(any, printable(path), ": holds no sentence with a predicate in its field 11, as CoNLL-U Plus has it",
               list.warnings.empty() ? "" : "; " + list.warnings.front());
  return list;
}

}  // namespace simclr::data
