#include "targets.h"

#include <simclr/core/text.h>
#include <simclr/data/text/role_list.h>
#include <simclr/data/text/text_views.h>

#include <algorithm>
#include <string>
#include <vector>

namespace simclr::fuzz {
namespace {

void check_list(const data::TextList& list, std::size_t bytes) {
  if (list.size() == 0) finding("a list without texts");
  std::size_t length = 0;
  for (std::int64_t i = 0; i < list.size(); ++i) {
    const std::string_view text = list[i];
    length += text.size();
    if (text.empty() || text.size() > data::most_text_bytes || !is_utf8(text)) finding("a text that is none");
    if (text.find('\0') != std::string_view::npos) finding("a text with a byte 0");
    if (list.label(i) < -1 || list.label(i) >= std::ssize(list.classes())) finding("a label of no class");
  }
  if (length > bytes) finding("texts longer than the file");
  for (const std::string& line : list.warnings) {
    if (line.find('\n') != std::string::npos) finding("a warning is not one line: " + line);
  }
  if (list.left_out_text().find('\n') != std::string::npos) finding("no one line: " + list.left_out_text());
}

void check_table(const data::TextTable& table, std::size_t bytes) {
  check_list(table.texts, bytes);
  if (!table.part_of.empty() && std::ssize(table.part_of) != table.texts.size()) finding("a text of no part");
}

void check_roles(const data::RoleList& list) {
  for (const data::RoleSentence& sentence : list.sentences) {
    for (const data::Predicate& predicate : sentence.predicates) {
      if (predicate.word < 0 || predicate.word >= std::ssize(sentence.words)) finding("a predicate that is no word");
      if (predicate.roles.size() != sentence.words.size()) finding("a word without its role");
    }
  }
  for (const std::string& line : list.warnings) {
    if (line.find('\n') != std::string::npos) finding("a warning is not one line: " + line);
  }
}

void check_tokens(const data::Tokenizer& tokens, const data::TextList& list) {
  const data::TextPolicy policy{
      .longest = 8, .halves_probability = 0.5f, .crop_min = 0.3f, .deletion = 0.3f, .shuffle_probability = 0.5f};
  for (std::int64_t i = 0; i < std::min<std::int64_t>(list.size(), 20); ++i) {
    const auto ids = tokens.encode(list[i]);
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= tokens.size()) finding("an impossible token");
    }
    if (ids.empty()) continue;
    if (!is_utf8(tokens.decode(ids))) finding("tokens that are no text");
    const auto view = data::changed_text(ids, tokens, policy, {.seed = 1, .sample = static_cast<std::uint32_t>(i)});
    if (view.empty() || std::ssize(view) > policy.longest) finding("a view of another length");
  }
}

}  // namespace

void text(Bytes bytes) {
  static const MemoryFile file;
  static const Folder folder;
  static const bool made = [] {
    folder.link("table.tsv", file.path());
    return true;
  }();
  file.write(bytes);
  std::string message;
  data::TextList lines;
  const bool reads = succeeds([&] { lines = data::read_text_lines(file.path()); }, message);
  if (reads) check_list(lines, bytes.size());
  succeeds([&] { check_list(data::read_question_lines(file.path()), bytes.size()); }, message);
  succeeds([&] { check_roles(data::read_role_list(file.path())); }, message);
  for (const std::string& path : {file.path(), made ? folder.path + "/table.tsv" : ""}) {
    succeeds([&] { check_table(data::read_text_table(path), bytes.size()); }, message);
  }
  if (reads) succeeds([&] { check_tokens(*data::learn_words(lines, {.entries = 50}), lines); }, message);
  const std::string_view model(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (model.find("simclr pieces") != std::string_view::npos) return;  // SentencePiece's own reader is not ours to try
  std::shared_ptr<const data::Tokenizer> tokens;
  if (succeeds([&] { tokens = data::read_tokenizer(model); }, message)) {
    if (tokens->model() != model) finding("a model that is written otherwise");
    if (reads) check_tokens(*tokens, lines);
  }
}

}  // namespace simclr::fuzz
