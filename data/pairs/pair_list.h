#pragma once

#include <simclr/core/export.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

class Shards;

/// A member of a sample in tar shards.
struct PairMember {
  std::int64_t sample = 0;
  std::int32_t member = 0;
};

/// One side of the pairs of a list: its different halves, each once.
struct PairSide {
  std::string column = {};                // what the list calls it; "column 2" without a header; of shards the ending
  bool texts = false;                     // whether its halves are texts, and no files
  std::vector<std::string> halves = {};   // as the list has them: paths from its folder, or absolute; of shards names
  std::vector<PairMember> members = {};   // of shards: where each half is
  std::vector<std::int32_t> groups = {};  // of each half; see PairList::groups
};

/// Pairs that a table of text names (table.h), row by row, or that lie in tar shards (pair_shards.h), sample by sample.
struct PairList {
  std::string dir = {};                       // the table's folder
  std::string source = {};                    // the table, or the shards in words
  std::string columns = {};                   // which they are, as read_pair_list() and read_pair_shards() take them
  std::shared_ptr<const Shards> shards = {};  // that hold the halves; null: they are files
  std::array<PairSide, 2> sides = {};
  std::vector<std::array<std::int32_t, 2>> pairs = {};  // of each pair its two halves
  /// Pairs that share a half are one group, and so are those that share one with these: the captions of one picture,
  /// and all pictures of one caption. Numbers from 0 on, in the order of the rows.
  std::vector<std::int32_t> groups = {};
  std::vector<std::int32_t> labels = {};  // of each pair one of `classes`; -1: none
  std::vector<std::string> classes = {};  // of a column called label, class or category; empty: there is none
  std::vector<std::string> parts = {};    // what a column of parts says, each text once; empty: there is no such column
  std::vector<std::int32_t> part_of = {};  // of each pair one of these; empty where there are none
  std::vector<std::string> left_out = {};  // in words, with counts: "3 pairs whose sound is missing"
  std::vector<std::string> warnings = {};  // a line for the first of these

  std::int64_t size() const { return static_cast<std::int64_t>(pairs.size()); }
  /// Where half `i` of a side lies: its path, or its name in the shards; of texts the text.
  SIMCLR_API std::string path(int side, std::int32_t i) const;
};

/// Whether a value of a list may be half of a pair: a file that is read, by its name. 0: it may not; else the number of
/// its kind, of which a side's halves are one.
using IsHalf = std::function<int(std::string_view value)>;

/// What the values of a side's column are: the names of files, or texts that are halves themselves. `found`: files,
/// where one of the first hundred rows has one, and half of their values or more are named as files are; else texts.
enum class PairValues { found, files, texts };

/// Reads one; `kinds`: of a side's files, as IsHalf numbers them; 0: any. Quotes of a .tsv are as read_text_table() has
/// them. A first row without a file is a header. `columns` says which two columns have the halves, by their names or by
/// their numbers from 1: "image,speech_fr"; empty: the first two of files in the first hundred rows, of a side whose
/// kind is asked for the first of it, and for the other side not the only one of that kind; behind them, and for a side
/// that is said to be of texts, those that are called as texts are, the likeliest first (column_of_texts()). A column
/// called split, part, set or subset has parts, one called label, class or category labels.
///
/// Blanks around a text are no part of it. Rows that cannot be used are left out: of another number of fields, without
/// one of the halves, whose half is no such file by its name, or of another kind than is asked for, else than most of
/// the column in the first hundred rows, whose file is missing, whose text is not in UTF-8 or longer than
/// most_text_bytes, or of a pair that a row before names in the same part. The first three are named in `warnings`, all
/// are counted in `left_out`. At most 10,000 files are looked for, spread over the table; what else is missing is
/// noticed when it is read. Throws Error for what is no table, for columns that are not there or whose values look like
/// files that are not read, and where no pair is left.
SIMCLR_API PairList read_pair_list(const std::string& path, const std::string& columns, const IsHalf& is_half,
                                   std::array<PairValues, 2> values = {}, std::array<int, 2> kinds = {});

/// Some of a list's pairs, in this order, with the list's classes: of each side those halves that occur. They are
/// joined to groups anew: what only a pair that is not selected joins are two.
SIMCLR_API PairList selected_pairs(const PairList& list, const std::vector<std::int64_t>& which);

/// Parts a list: what is left, then every `nth` of its groups, so that no half is in both; instead of one with which
/// these would have more than one in `nth` of the pairs, the next that is small enough. Throws Error where one of them
/// would be empty.
SIMCLR_API std::array<PairList, 2> split_pairs(const PairList& list, std::int64_t nth);

}  // namespace simclr::data
