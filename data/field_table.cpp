#include "field_table.h"

#include "no_label.h"
#include "row_warnings.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_looked_for = 10'000;  // files

// Names of columns, as find_column() takes them, the likeliest first.
const std::vector<std::string_view> label_names = {"label",   "labels",  "class",   "classname", "category",
                                                   "target",  "word",    "digit",   "tag",       "y",
                                                   "classid", "labelid", "species", "genre",     "emotion"};
/// Which column is what; -1: none is.
struct Columns {
  int path = 0, label = -1, begin = -1, end = -1;
  bool header = false;
};

Columns columns_of(const std::vector<std::string>& first, const FieldTableKind& kind) {
  Columns named{.path = find_column(first, kind.path_names),
                .label = find_column(first, label_names),
                .begin = find_column(first, kind.begin_names),
                .end = find_column(first, kind.end_names),
                .header = true};
  if (named.path >= 0 && named.path == find_column(first, kind.whole_names)) named.begin = named.end = -1;
  if (named.path >= 0 && std::none_of(first.begin(), first.end(), kind.has_ending)) return named;
  return {.path = 0, .label = first.size() > 1 ? 1 : -1};
}

/// Of seconds; negative: it is none.
double time_of(const std::string& text) {
  double seconds = -1.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(seconds) ? seconds : -1.0;
}

class Reader {
 public:
  Reader(const std::string& path, const FieldTableKind& kind) : path_(path), kind_(kind) {
    list_.dir = fs::path(path).parent_path().string();
    list_.source = path;
    list_.sample = kind.sample;
  }

  FieldList read() {
    TableReader rows(path_);
    while (rows.next()) {
      line_ = rows.line();
      if (!rows.problem().empty()) {
        leave_out("that cannot be read", rows.problem());
      } else if (first_.empty()) {
        first_ = rows.fields();
        columns_ = columns_of(first_, kind_);
        texts_.resize(first_.size());
        if (!columns_.header) take(first_);
      } else {
        take(rows.fields());
      }
    }
    look_for_files();
    finish();
    return std::move(list_);
  }

 private:
  void take(const std::vector<std::string>& fields) {
    const auto text = [&](int column) { return column < 0 ? std::string() : fields[static_cast<std::size_t>(column)]; };
    std::string path = text(columns_.path);
    if (path.empty()) return leave_out("without a path", "has no path");
    while (path.starts_with("./")) path.erase(0, 2);
    if (!kind_.is_sample(path)) {
      const std::string package = kind_.missing_package(ending_of(path));
      if (!package.empty())
        return leave_out("of files that need a build with " + package,
                         "names " + path + ", which needs a build with " + package);
      return leave_out("of files that are no " + kind_.sample + "s",
                       "names " + path + ", which is no " + kind_.kinds + " by its name");
    }
    TimeRange segment;
    const std::string begin = text(columns_.begin), end = text(columns_.end);
    if (!begin.empty()) segment.begin = time_of(begin);
    if (!end.empty()) segment.end = time_of(end);
    if (segment.begin < 0.0 || segment.end <= segment.begin) {
      return leave_out("whose start and end are no times",
                       "has start \"" + begin + "\" and end \"" + end + "\", which are no seconds in order");
    }
    if (!seen_.emplace(path, segment.begin, segment.end).second) {
      return leave_out("of a " + kind_.sample + " that a row before names", "names " + path + " once more");
    }
    list_.files.push_back(path);
    list_.times.push_back(segment);
    lines_.push_back(line_);
    for (std::size_t c = 0; c < fields.size(); ++c) texts_[c].push_back(fields[c]);
  }

  void look_for_files() {
    const std::size_t count = list_.files.size(), looked_for = std::min(count, most_looked_for);
    SIMCLR_CHECK(count > 0, printable(path_), ": no row names a ", kind_.sample, " of ", kind_.kinds,
                 problems_.first().empty() ? "" : ": " + problems_.first());
    std::set<std::size_t> missing;
    for (std::size_t k = 0; k < looked_for; ++k) {
      const std::size_t i = k * count / looked_for;
      std::error_code error;
      if (!fs::exists(located(i), error)) missing.insert(i);
    }
    if (missing.empty()) return;
    SIMCLR_CHECK(missing.size() < looked_for, printable(path_), ": none of ", counted(std::ssize(missing), "file"),
                 " is there; line ", lines_[*missing.begin()], " is looked for as ",
                 printable(fs::absolute(located(*missing.begin())).lexically_normal().string()),
                 "; paths begin in the folder of the list");
    PathList files;
    std::vector<TimeRange> times;
    std::vector<std::vector<std::string>> texts(texts_.size());
    for (std::size_t i = 0; i < count; ++i) {
      line_ = lines_[i];
      if (missing.contains(i)) {
        leave_out("of a file that is not there", "names " + list_.files[i] + ", which is not there");
        continue;
      }
      files.push_back(list_.files[i]);
      times.push_back(list_.times[i]);
      for (std::size_t c = 0; c < texts.size(); ++c) texts[c].push_back(std::move(texts_[c][i]));
    }
    list_.files = std::move(files);
    list_.times = std::move(times);
    texts_ = std::move(texts);
  }

  void leave_out(const std::string& kind, const std::string& problem) {
    ++rows_[kind];
    problems_.add(line_, problem);
  }

  /// Makes of each label what its class is called, or nothing.
  void name_labels(std::vector<std::string>& texts) {
    std::map<std::string, std::int64_t> labels;
    for (const std::string& text : texts) ++labels[text];
    const LabelClasses named = classes_of_labels(labels, kind_.sample);
    for (std::string& text : texts) {
      const auto place = named.places.find(text);
      text = place == named.places.end() ? "" : named.classes[static_cast<std::size_t>(place->second)];
    }
    for (const std::string& note : named.notes) label_notes_ += "\n" + printable(path_) + ": " + note;
  }

  std::string located(std::size_t i) const { return (fs::path(list_.dir) / list_.files[i]).string(); }

  std::string name_of(int column) const {
    const std::string& said = first_[static_cast<std::size_t>(column)];
    return columns_.header && !said.empty() ? said : "column " + std::to_string(column + 1);
  }

  void finish() {
    list_.warnings = problems_.lines();
    for (const auto& [problem, count] : rows_) list_.left_out.push_back(counted(count, "row") + " " + problem);
    const bool whole = std::all_of(list_.times.begin(), list_.times.end(), [](const auto& t) { return t.whole(); });
    if (whole) list_.times.clear();
    list_.columns = printable(path_) + (columns_.header ? ": paths from " : ": no header: paths from ") +
                    printable(name_of(columns_.path));
    if (columns_.label >= 0) list_.columns += ", labels from " + printable(name_of(columns_.label));
    if (columns_.begin >= 0) list_.columns += ", starts from " + printable(name_of(columns_.begin));
    if (columns_.end >= 0) list_.columns += ", ends from " + printable(name_of(columns_.end));
    std::vector<std::string> others;
    for (int c = 0; c < static_cast<int>(first_.size()); ++c) {
      if (c == columns_.path || c == columns_.begin || c == columns_.end) continue;
      const bool label = c == columns_.label;
      const std::string name = label ? "label" : name_of(c);
      if (find_field(list_.fields, name)) continue;  // the first of that name counts
      if (label) name_labels(texts_[static_cast<std::size_t>(c)]);
      list_.fields.push_back(make_field(name, texts_[static_cast<std::size_t>(c)]));
      if (!label) others.push_back(name);
    }
    if (!others.empty()) list_.columns += "; fields: " + listed(others, 8);
    list_.columns += label_notes_;
  }

  const std::string path_;
  const FieldTableKind& kind_;
  FieldList list_;
  std::vector<std::string> first_;  // row that can be read
  Columns columns_;
  std::int64_t line_ = 0;
  std::vector<std::int64_t> lines_;              // of the samples
  std::vector<std::vector<std::string>> texts_;  // of each column, of the samples
  std::set<std::tuple<std::string, double, double>> seen_;
  std::map<std::string, std::int64_t> rows_;  // left out, by what is wrong with them
  std::string label_notes_;
  RowWarnings problems_{path_};
};

}  // namespace

FieldList read_field_table(const std::string& path, const FieldTableKind& kind) {
  return Reader(path, kind).read();
}

}  // namespace simclr::data
