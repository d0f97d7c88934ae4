#include <simclr/data/pairs/pair_list.h>

#include "../class_names.h"
#include "../numbered_texts.h"
#include "../text/text_rows.h"
#include "pair_groups.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/table.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t most_looked_for = 10'000;  // files
constexpr std::int64_t most_named = 3;            // rows that are left out
constexpr std::size_t most_columns_named = 8;
constexpr std::size_t most_waiting = 100;  // rows by which the columns are told

/// Which columns have what, from 0.
struct Columns {
  std::array<int, 2> halves = {-1, -1};
  int label = -1, part = -1;
  bool header = false;
};

class Reader {
 public:
  Reader(const std::string& path, const std::string& columns, const IsHalf& is_half, std::array<PairValues, 2> values,
         std::array<int, 2> kinds)
      : path_(path), asked_(columns), is_half_(is_half), values_(values), asked_kinds_(kinds), kinds_(kinds) {
    list_.dir = fs::path(path).parent_path().string();
    list_.source = path;
  }

  PairList read() {
    TextRows rows(path_);
    while (rows.next()) {
      line_ = rows.line();
      if (!rows.problem().empty()) {
        leave_out("that cannot be read", rows.problem());
      } else if (first_.empty()) {
        first_ = rows.fields();
        first_line_ = line_;
      } else if (settled_) {
        take(rows.fields());
      } else {
        waiting_.push_back({line_, rows.fields()});
        if (waiting_.size() == most_waiting) settle();
      }
    }
    if (!settled_ && !first_.empty()) settle();
    number_halves();
    finish();
    return std::move(list_);
  }

 private:
  struct Row {
    std::array<std::string, 2> halves;
    std::int32_t label, part;
    std::int64_t line;
  };

  int kind_of(const std::string& value) const { return value.empty() ? 0 : is_half_(value); }
  bool is_half(const std::string& value) const { return kind_of(value) != 0; }

  /// Knows the columns by the first rows, of which one may lack a half.
  void settle() {
    settled_ = true;
    columns_.header = std::none_of(first_.begin(), first_.end(), [this](const auto& v) { return is_half(v); });
    if (columns_.header) {
      columns_.label = find_column(first_, {"label", "class", "category"});
      columns_.part = find_column(first_, {"split", "part", "set", "subset"});
    }
    if (asked_.empty()) {
      find_halves();
    } else {
      name_halves();
    }
    for (std::size_t s = 0; s < 2; ++s) {
      list_.sides[s].column = name_of(columns_.halves[s]);
      list_.columns += (s == 0 ? "" : ",") + asked_as(columns_.halves[s]);
      if (kinds_[s] == 0) kinds_[s] = seen_in(columns_.halves[s]).kind();
      list_.sides[s].texts = values_[s] == PairValues::texts || (values_[s] == PairValues::found && holds_texts(s));
    }
    if (!columns_.header) waiting_.emplace(waiting_.begin(), first_line_, first_);
    for (const auto& [line, fields] : waiting_) {
      line_ = line;
      take(fields);
    }
    waiting_.clear();
  }

  std::string name_of(int column) const {
    const std::string& name = first_[static_cast<std::size_t>(column)];
    const std::string number = "column " + std::to_string(column + 1);
    if (!columns_.header || name.empty()) return number;
    return printable(name) + (is_the_only(name) ? "" : " (" + number + ")");
  }

  bool is_the_only(const std::string& name) const { return std::count(first_.begin(), first_.end(), name) == 1; }

  /// As name_halves() takes it.
  std::string asked_as(int column) const {
    const std::string& name = first_[static_cast<std::size_t>(column)];
    const bool by_name = columns_.header && !name.empty() && is_the_only(name) && name.find(',') == std::string::npos;
    return by_name ? name : std::to_string(column + 1);
  }

  /// What a column has in the first rows.
  struct Seen {
    std::int64_t values = 0, halves = 0, named = 0;  // named as files are, with the halves
    std::string other = {};                          // the first of these that is no half
    std::map<int, std::int64_t> kinds = {};          // of the halves
    bool files() const { return halves > 0 && 2 * named >= values; }
    int kind() const {  // of most of the halves; 0: there are none
      const auto most = std::max_element(kinds.begin(), kinds.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
      return most == kinds.end() ? 0 : most->first;
    }
  };

  Seen seen_in(int column) const {
    Seen seen;
    const auto look = [&](const std::string& value) {
      const bool half = is_half(value), named = half || looks_like_a_file(value);
      seen.values += value.empty() ? 0 : 1;
      seen.halves += half ? 1 : 0;
      if (half) ++seen.kinds[kind_of(value)];
      seen.named += named ? 1 : 0;
      if (named && !half && seen.other.empty()) seen.other = value;
    };
    if (!columns_.header) look(first_[static_cast<std::size_t>(column)]);
    for (const auto& [line, fields] : waiting_) look(fields[static_cast<std::size_t>(column)]);
    return seen;
  }

  /// Of a side whose column was named. Throws where most of its values are named as files that are not read.
  bool holds_texts(std::size_t side) const {
    const Seen seen = seen_in(columns_.halves[side]);
    if (seen.files()) return false;
    SIMCLR_CHECK(2 * seen.named <= seen.values, printable(path_), ": the column ", list_.sides[side].column,
                 " has the paths of files that are not read: ", printable(seen.other));
    return seen.values > 0;
  }

  void find_halves() {
    std::vector<int> files, texts;
    std::vector<std::string> others = columns_.header ? first_ : std::vector<std::string>(first_.size());
    for (int c = 0; c < std::ssize(first_); ++c) {
      if (!seen_in(c).files()) continue;
      files.push_back(c);
      others[static_cast<std::size_t>(c)].clear();
    }
    for (int c = column_of_texts(others); c >= 0; c = column_of_texts(others)) {
      texts.push_back(c);
      others[static_cast<std::size_t>(c)].clear();
    }
    std::size_t text = 0, found = 0;
    for (std::size_t s = 0; s < 2; ++s) {
      const auto is_of = [&](int kind) { return [this, kind](int c) { return seen_in(c).kind() == kind; }; };
      auto file = files.begin();
      if (kinds_[s] != 0) {
        file = std::find_if(files.begin(), files.end(), is_of(kinds_[s]));
        if (file == files.end()) file = files.begin();  // of another kind, which whoever asked for this one says
      } else if (s == 0 && std::count_if(files.begin(), files.end(), is_of(kinds_[1])) == 1) {
        file = std::find_if_not(files.begin(), files.end(), is_of(kinds_[1]));  // that one is the other side's
      }
      if (file != files.end() && values_[s] != PairValues::texts) {
        columns_.halves[s] = *file;
        files.erase(file);
      } else if (text < texts.size() && values_[s] != PairValues::files) {
        columns_.halves[s] = texts[text++];
      }
      found += columns_.halves[s] >= 0 ? 1 : 0;
    }
    if (found == 2) return;
    const bool texts_asked = values_[0] == PairValues::texts || values_[1] == PairValues::texts;
    const bool no_text = texts_asked && !files.empty();  // there are files for both sides
    fail(printable(path_), ": ", found == 0 ? "none" : "only one", " of the columns ",
         listed(first_, most_columns_named),
         no_text ? (found == 1 && !texts.empty() ? " can be taken, since no other column is called"
                                                 : " can be taken, since none is called")
                 : " has the paths of files that can be read, or is called",
         " caption, text or sentence; a pair has two: say by --columns which",
         columns_.header ? " (the first row is taken for their names)"
                         : " (the first row names a file, so that the columns have no names)");
  }

  /// As the columns are asked for: "image,speech" or "1,9".
  void name_halves() {
    const std::size_t comma = asked_.find(',');
    SIMCLR_CHECK(comma != std::string::npos && asked_.find(',', comma + 1) == std::string::npos, "--columns ",
                 printable(asked_), ": two columns of the list with a comma between them, by name or by number");
    for (int s = 0; s < 2; ++s) {
      const std::string name = s == 0 ? asked_.substr(0, comma) : asked_.substr(comma + 1);
      const auto number = whole_number(name);
      auto found = columns_.header ? std::find(first_.begin(), first_.end(), name) : first_.end();
      if (found == first_.end() && number && *number >= 1 && *number <= std::ssize(first_)) {
        found = first_.begin() + static_cast<std::ptrdiff_t>(*number - 1);
      }
      SIMCLR_CHECK(found != first_.end(), "--columns ", printable(asked_), ": ", printable(path_), " has no column ",
                   printable(name), "; it has ",
                   columns_.header ? listed(first_, most_columns_named) : counted(std::ssize(first_), "column"));
      columns_.halves[static_cast<std::size_t>(s)] = static_cast<int>(found - first_.begin());
    }
    SIMCLR_CHECK(columns_.halves[0] != columns_.halves[1], "--columns ", printable(asked_),
                 ": is one column twice; a pair has two halves");
  }

  /// Empty: nothing.
  std::string wrong_with_file(const std::string& value, std::size_t side) {
    const int kind = kind_of(value);
    if (kind == 0) return value + " is no file that is read";
    if (kinds_[side] == 0) kinds_[side] = kind;  // no file was among the first rows
    if (kind == kinds_[side]) return "";
    return value + (asked_kinds_[side] != 0 ? " is of another kind than this side holds"
                                            : " is of another kind than most files of the first rows in this column: "
                                              "--first and --second say which kind is taken");
  }

  void take(const std::vector<std::string>& fields) {
    Row row{.halves = {}, .label = -1, .part = -1, .line = line_};
    for (std::size_t s = 0; s < 2; ++s) {
      std::string value = fields[static_cast<std::size_t>(columns_.halves[s])];
      const bool text = list_.sides[s].texts;
      if (text) value = std::string(trimmed(value));  // as it is trained on: equal texts are one half
      while (!text && value.starts_with("./")) value.erase(0, 2);
      const std::string& column = list_.sides[s].column;
      if (trimmed(value).empty()) return leave_out("without a " + column, "has no " + column);
      const std::string why = text ? wrong_with_text(value) : wrong_with_file(value, s);
      if (!why.empty()) return leave_out("whose " + column + " cannot be read", why);
      row.halves[s] = value;
    }
    const auto number = [&](int column, NumberedTexts& texts) {
      const std::string& text = column < 0 ? none_ : fields[static_cast<std::size_t>(column)];
      return text.empty() ? -1 : texts.number(text);
    };
    row.label = number(columns_.label, labels_);
    row.part = number(columns_.part, parts_);
    const bool is_new = seen_.emplace(row.halves[0], row.halves[1], row.part).second;
    if (!is_new) return leave_out("that a row before names", "names a pair once more");
    rows_.push_back(std::move(row));
  }

  /// Leaves out pairs of which a file is missing, and gives the others' halves numbers.
  void number_halves() {
    const std::int64_t all = std::ssize(rows_), step = 1 + 2 * all / most_looked_for;
    std::array<NumberedTexts, 2> halves;
    std::array<std::unordered_map<std::string, bool>, 2> there;
    for (std::int64_t i = 0; i < all; ++i) {
      const Row& row = rows_[static_cast<std::size_t>(i)];
      line_ = row.line;
      bool whole = true;
      for (std::size_t s = 0; s < 2 && whole && i % step == 0; ++s) {
        if (list_.sides[s].texts) continue;
        const auto [found, is_new] = there[s].emplace(row.halves[s], true);
        std::error_code error;
        if (is_new) found->second = fs::exists(fs::path(list_.dir) / row.halves[s], error);
        if (found->second) continue;
        whole = false;
        leave_out("whose " + list_.sides[s].column + " is missing", row.halves[s] + " is missing");
      }
      if (!whole) continue;
      list_.pairs.push_back({halves[0].number(row.halves[0]), halves[1].number(row.halves[1])});
      list_.labels.push_back(row.label);
      if (columns_.part >= 0) list_.part_of.push_back(row.part);
    }
    for (std::size_t s = 0; s < 2; ++s) list_.sides[s].halves = halves[s].take();
  }

  void finish() {
    for (const auto& [what, count] : left_out_) list_.left_out.push_back(counted(count, "pair") + " " + what);
    const std::int64_t all = std::accumulate(left_out_.begin(), left_out_.end(), std::int64_t{0},
                                             [](std::int64_t sum, const auto& one) { return sum + one.second; });
    if (all > most_named) {
      list_.warnings.push_back(printable(path_) + ": " + counted(all - most_named, "more pair") + " left out");
    }
    SIMCLR_CHECK(!first_.empty() || all > 0, printable(path_), ": is empty");
    SIMCLR_CHECK(!list_.pairs.empty(), printable(path_), ": no pair is left of ", counted(all, "row"),
                 all > 0 ? " (left out: " + listed(list_.left_out, most_columns_named) + ")" : "",
                 "; paths begin in the folder of the list",
                 list_.warnings.empty() ? "" : ". The first: ", list_.warnings.empty() ? "" : list_.warnings.front());
    join_groups(list_);
    const std::vector<std::string> texts = labels_.take();
    list_.classes = sorted_classes({texts.begin(), texts.end()});
    std::map<std::string_view, std::int32_t> place;
    for (const std::string& name : list_.classes) place.emplace(name, static_cast<std::int32_t>(place.size()));
    for (std::int32_t& label : list_.labels) {
      if (label >= 0) label = place.at(texts[static_cast<std::size_t>(label)]);
    }
    list_.parts = parts_.take();
  }

  /// `what` such rows are counted as; `why` is said of the first of them.
  void leave_out(const std::string& what, const std::string& why) {
    ++left_out_[what];
    if (std::ssize(list_.warnings) < most_named) {
      list_.warnings.push_back(printable(path_) + ", line " + std::to_string(line_) + ": " + printable(why) +
                               " (pair left out)");
    }
  }

  const std::string path_, asked_, none_;
  const IsHalf& is_half_;
  const std::array<PairValues, 2> values_;
  const std::array<int, 2> asked_kinds_;
  std::array<int, 2> kinds_;  // of the sides' files; 0: not known yet
  PairList list_;
  Columns columns_;
  bool settled_ = false;
  std::vector<std::string> first_;
  std::int64_t first_line_ = 0, line_ = 0;
  std::vector<std::pair<std::int64_t, std::vector<std::string>>> waiting_;  // lines, until the columns are known
  std::vector<Row> rows_;
  std::set<std::tuple<std::string, std::string, std::int32_t>> seen_;
  std::map<std::string, std::int64_t> left_out_;
  NumberedTexts labels_, parts_;
};

}  // namespace

std::string PairList::path(int side, std::int32_t i) const {
  const PairSide& of = sides[static_cast<std::size_t>(side)];
  const std::string& half = of.halves[static_cast<std::size_t>(i)];
  return of.texts ? half : (fs::path(dir) / half).string();
}

PairList read_pair_list(const std::string& path, const std::string& columns, const IsHalf& is_half,
                        std::array<PairValues, 2> values, std::array<int, 2> kinds) {
  return Reader(path, columns, is_half, values, kinds).read();
}

}  // namespace simclr::data
