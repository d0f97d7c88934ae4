#pragma once

#include <simclr/core/export.h>
#include <simclr/data/dataset.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace simclr::data {

/// The longest text that is taken, in bytes: what is longer is a file without line breaks, and not a sentence.
inline constexpr std::size_t most_text_bytes = 100'000;

/// Without the blanks and line breaks at both ends.
SIMCLR_API std::string_view trimmed(std::string_view text);

/// Why words cannot be a text: "has a text that is not in UTF-8"; empty: they can.
SIMCLR_API std::string wrong_with_text(std::string_view words);

/// Texts in UTF-8, each on one line of a file, and what is known of them.
class SIMCLR_API TextList {
 public:
  /// `source`: what the texts come from, for messages: a file's path.
  explicit TextList(std::string source = {}) : source_(std::move(source)) {}

  std::int64_t size() const { return static_cast<std::int64_t>(ends_.size()); }
  /// Text `i`, which must be less than size(); lives as long as the list is not changed.
  std::string_view operator[](std::int64_t i) const;
  /// An index into classes(); -1: none.
  std::int32_t label(std::int64_t i) const { return labels_[static_cast<std::size_t>(i)]; }
  /// "reviews.tsv, line 7".
  std::string place(std::int64_t i) const;
  const std::vector<std::string>& classes() const { return classes_; }
  const std::string& source() const { return source_; }

  /// Adds a text of this line of its file, with a label or, where that is empty, none.
  void add(std::string_view text, std::int64_t line, const std::string& label = {});
  /// Adds the texts of another list, with its labels or without any, its warnings and what it left out.
  void append(const TextList& other, bool labels = true);
  /// Adds what another list left out, and its warnings.
  void take_losses(const TextList& other);
  /// Of these numbers, in their order; all of classes() stay. Warnings and what was left out stay with the whole.
  TextList selected(const std::vector<std::int64_t>& which) const;
  /// Puts the classes in order: by value where all are whole numbers, else by name.
  void sort_classes();

  /// Counts a line that is left out, and names the first three: "reviews.txt, line 7: is no valid UTF-8 at its byte 3".
  /// `kind`: what such lines are, "not in UTF-8".
  void leave_out(std::int64_t line, const std::string& kind, const std::string& problem);

  std::vector<std::string> warnings = {};  // a line for each of the first that were left out
  /// How many lines were left out, by what is wrong with them.
  std::map<std::string, std::int64_t> left_out = {};
  std::string columns = {};  // of a table: which column was taken for what, in a line

  /// "2 lines not in UTF-8, 1 line that is too long"; empty: none.
  std::string left_out_text() const;

 private:
  std::int32_t class_of(const std::string& label);

  std::string source_;
  std::string bytes_;                // all texts, one behind the other
  std::vector<std::uint64_t> ends_;  // of each
  std::vector<std::int32_t> labels_;
  std::vector<std::int64_t> lines_;
  std::vector<std::string> files_;     // that the texts come from
  std::vector<std::uint64_t> begins_;  // the number of the first text of each of these
  std::vector<std::string> classes_;
  std::map<std::string, std::int32_t> class_numbers_;
  std::int64_t named_ = 0;
};

/// Reads a file of lines, each a text; `label`, unless it is empty, is that of all. Lines end with LF, CRLF or CR;
/// blanks around a text, lines without one and a byte order mark of UTF-8 do not count. A line that is no valid UTF-8,
/// that holds a byte 0 or more than most_text_bytes is left out and named, whatever its length, without taking memory
/// for it. Throws Error for what is no file or cannot be opened, for UTF-16, and where no text is left.
SIMCLR_API TextList read_text_lines(const std::string& path, const std::string& label = {});

/// The same of lines that begin with their class, "NUM:dist How far is it to Denver ?" as TREC's questions have it:
/// what stands before the colon is the label, and what stands up to the blank is left aside.
SIMCLR_API TextList read_question_lines(const std::string& path);

/// Texts of a table, and which part of a data set each belongs to.
struct TextTable {
  TextList texts;
  std::vector<std::string> parts = {};     // the values of its column split, in order; empty: it has none
  std::vector<std::int32_t> part_of = {};  // of each text, in `parts`; -1: it says nothing
};

/// Reads a table (data/table.h): CSV, TSV and the like. Its header says which column is what: text, caption, sentence
/// and their kin, label, sentiment, category and theirs, and split; TextList::columns says what was taken. Without a
/// header the longest field of the first row is the text, and another one the label. In a .tsv
/// in which quotes that a line leaves open are no fields of several lines a quote is text, but around a field whose own
/// are doubled, and rows are left out as lines are, those of another number of fields too. In other tables a byte 0 and
/// quotes that do not end are errors.
/// Throws Error as TableReader does, and where no text is left.
SIMCLR_API TextTable read_text_table(const std::string& path);

/// A row of a table.
struct TextRow {
  std::int64_t line = 0;  // where it begins, from 1
  std::vector<std::string> fields = {};
  std::string problem = {};  // why it cannot be used: "has 3 fields, the first row 2"; empty: it can
};

/// All rows of a table of a few texts; quotes of a .tsv are as read_text_table() has them. Throws Error as that does,
/// but not where no text is left.
SIMCLR_API std::vector<TextRow> read_text_rows(const std::string& path);

/// The column of a table's header that is called as texts are, caption, text, sentence and their kin, the likeliest
/// first; -1: none is.
SIMCLR_API int column_of_texts(const std::vector<std::string>& header);

/// Texts as a data set: sample i is u8 [bytes], in UTF-8. Throws Error for a list without texts.
SIMCLR_API std::shared_ptr<const Dataset> text_dataset(std::shared_ptr<const TextList> texts);

/// The bytes of a text sample as a text. Throws Error for a sample that is not u8 [bytes].
SIMCLR_API std::string_view text_of(const Sample& sample);

/// A digest of a text's words, with case and punctuation left aside: two texts that say the same have the same one.
SIMCLR_API std::uint64_t digest_of_text(std::string_view text);

/// Whether a text is tested with where nothing else parts a set: a fifth of all, chosen by the digest alone, so that
/// the same text in another set, or once more in this one, falls into the same part.
SIMCLR_API bool is_test_text(std::uint64_t digest);

}  // namespace simclr::data
