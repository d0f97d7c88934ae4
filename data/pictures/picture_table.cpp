#include "../class_names.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_table.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_named = 3;            // rows
constexpr std::size_t most_looked_for = 10'000;  // files

// Names of columns, as find_column() takes them, the likeliest first.
const std::vector<std::string_view> path_names = {
    "path",      "filepath", "imagepath", "imgpath",       "picturepath", "relativepath", "relpath",     "filename",
    "imagefile", "imgfile",  "file",      "imagefilename", "imagename",   "imgname",      "picturename", "image",
    "img",       "picture",  "photo",     "fname",         "imageid",     "imgid"};
const std::vector<std::string_view> label_names = {"label",     "labels",       "class",    "classname",  "labelname",
                                                   "category",  "categoryname", "target",   "species",    "breed",
                                                   "diagnosis", "dx",           "tag",      "y",          "classid",
                                                   "labelid",   "categoryid",   "targetid", "classindex", "labelindex"};
const std::vector<std::string_view> part_names = {"split", "part", "set", "subset", "partition", "dataset", "phase"};

/// Which column is what; -1: none is.
struct Columns {
  int path = 0, label = -1, part = -1;
  bool header = false;
};

bool names_picture(const std::vector<std::string>& row) {
  return std::any_of(row.begin(), row.end(), is_picture_name);
}

/// Of a header that calls no column by a name for paths, that is -1.
Columns columns_of(const std::vector<std::string>& first) {
  Columns columns{.path = find_column(first, path_names),
                  .label = find_column(first, label_names),
                  .part = find_column(first, part_names)};
  columns.header = !names_picture(first) && (columns.path >= 0 || columns.label >= 0);
  if (columns.header) return columns;
  return {.path = 0, .label = first.size() > 1 ? 1 : -1};
}

std::string text_of(const Columns& columns, const std::vector<std::string>& first) {
  const auto name = [&](int column) {
    const std::string number = "column " + std::to_string(column + 1);
    const std::string& said = first[static_cast<std::size_t>(column)];
    return columns.header && !said.empty() ? printable(said) : number;
  };
  std::string text = (columns.header ? "paths from " : "no header: paths from ") + name(columns.path);
  text += columns.label < 0 ? std::string("; no labels") : ", labels from " + name(columns.label);
  if (columns.part >= 0) text += ", parts from " + name(columns.part);
  std::vector<std::string> unused;
  for (int c = 0; c < static_cast<int>(first.size()); ++c) {
    if (c != columns.path && c != columns.label && c != columns.part) unused.push_back(name(c));
  }
  return text + (unused.empty() ? "" : "; not used: " + listed(unused, 6));
}

/// Each text once, by numbers.
class Texts {
 public:
  std::uint32_t number(const std::string& text) {
    const auto [found, is_new] = numbers_.emplace(text, static_cast<std::uint32_t>(texts_.size()));
    if (is_new) texts_.push_back(text);
    return found->second;
  }
  const std::vector<std::string>& all() const { return texts_; }

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<std::string> texts_;
};

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), folder_(fs::path(path).parent_path()) {
    list_.dir = folder_.string();
    list_.source = path;
  }

  PictureTable read() {
    TableReader rows(path_);
    while (rows.next()) {
      line_ = rows.line();
      if (!rows.problem().empty()) {
        leave_out("that cannot be read", rows.problem());
      } else if (first_.empty()) {
        first_ = rows.fields();
        columns_ = columns_of(first_);
        if (!columns_.header) take(first_);
      } else {
        if (columns_.path < 0) columns_.path = path_from(rows.fields());
        take(rows.fields());
      }
    }
    look_for_files();
    finish();
    return std::move(table_);
  }

 private:
  /// The first column of a row that says by its ending that it is a picture's path.
  int path_from(const std::vector<std::string>& row) const {
    SIMCLR_CHECK(names_picture(row), printable(path_), ": none of the columns ", listed(first_, 6),
                 " has the paths of files; call one path or file");
    return static_cast<int>(std::find_if(row.begin(), row.end(), is_picture_name) - row.begin());
  }

  void take(const std::vector<std::string>& fields) {
    if (utf8_ && !std::all_of(fields.begin(), fields.end(), is_utf8)) {
      utf8_ = false;
      list_.warnings.push_back(printable(path_) + ", line " + std::to_string(line_) +
                               ": is no text of UTF-8 but of Latin-1 or the like, so that its letters are shown "
                               "wrongly; save the list as UTF-8");
    }
    std::string path = fields[static_cast<std::size_t>(columns_.path)];
    if (path.empty()) return leave_out("without a path", "has no path");
    if (path.find("://") != std::string::npos) {
      return leave_out("of an address", "names an address, not a file: download it first");
    }
    if (path.find('\\') != std::string::npos) path = with_slashes(path);
    while (path.starts_with("./")) path.erase(0, 2);
    if (!seen_.insert(std::hash<std::string>()(path)).second) {
      return leave_out("of a picture that a row before names", "names " + path + " once more");
    }
    if (!is_picture_name(path) && !is_picture(path)) return;
    list_.files.push_back(path);
    lines_.push_back(line_);
    std::int32_t label = -1;
    if (columns_.label >= 0) {
      const std::string& text = fields[static_cast<std::size_t>(columns_.label)];
      if (!text.empty()) label = static_cast<std::int32_t>(labels_.number(text));
    }
    list_.labels.push_back(label);
    if (columns_.part >= 0) table_.part_of.push_back(parts_.number(fields[static_cast<std::size_t>(columns_.part)]));
  }

  /// As others write it, if that is a file and this is none. The first path that is there, either way, decides for all.
  std::string with_slashes(const std::string& path) {
    std::string slashes = path;
    std::replace(slashes.begin(), slashes.end(), '\\', '/');
    std::error_code error;
    if (backslash_ == Backslash::unknown && tried_++ < most_looked_for) {
      if (fs::exists(folder_ / path, error)) {
        backslash_ = Backslash::is_a_letter;
      } else if (fs::exists(folder_ / slashes, error)) {
        backslash_ = Backslash::parts_folders;
      }
    }
    return backslash_ == Backslash::parts_folders ? slashes : path;
  }

  /// Whether a file is one whose name does not say it; else the row is left out, but for a file that is missing, which
  /// look_for_files() sees.
  bool is_picture(const std::string& path) {
    std::error_code error;
    const std::string file = (folder_ / path).string();
    if (!fs::exists(file, error)) return true;
    const std::string kind = fs::is_regular_file(file, error) ? kind_of_file(file) : "";  // a pipe may never end
    if (is_read_kind(kind) || kind == ".npy") return true;
    list_.left_out.add_file(ending_of(path), kind);
    warn(path + (kind.empty() ? " is no picture" : " is a " + kind + " picture, which are not read"));
    return false;
  }

  void look_for_files() {
    const std::size_t count = list_.files.size(), looked_for = std::min(count, most_looked_for);
    std::vector<std::uint32_t> missing;
    for (std::size_t k = 0; k < looked_for; ++k) {
      const std::size_t i = k * count / looked_for;
      std::error_code error;
      if (!fs::is_regular_file(folder_ / list_.files[i], error)) missing.push_back(static_cast<std::uint32_t>(i));
    }
    if (missing.empty()) return;
    SIMCLR_CHECK(missing.size() < looked_for, printable(path_), ": none of ", counted(std::ssize(missing), "file"),
                 " is there; line ", lines_[missing.front()], " is looked for as ",
                 printable(fs::absolute(folder_ / list_.files[missing.front()]).lexically_normal().string()),
                 "; paths begin in the folder of the list");
    for (const std::uint32_t i : missing) {
      line_ = lines_[i];
      leave_out("of a file that is not there", list_.files[i] + " is not there");
    }
    remove(missing);
    if (looked_for < count) {
      list_.warnings.push_back(printable(path_) + ": " + std::to_string(looked_for) + " of the " +
                               std::to_string(count) +
                               " files were looked for; if others are missing, too, reading them tells");
    }
  }

  /// These rows, which are sorted.
  void remove(const std::vector<std::uint32_t>& rows) {
    PathList files;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (std::binary_search(rows.begin(), rows.end(), static_cast<std::uint32_t>(i))) continue;
      files.push_back(list_.files[i]);
      list_.labels[kept] = list_.labels[i];
      if (!table_.part_of.empty()) table_.part_of[kept] = table_.part_of[i];
      ++kept;
    }
    list_.files = std::move(files);
    list_.labels.resize(kept);
    if (!table_.part_of.empty()) table_.part_of.resize(kept);
  }

  void leave_out(const std::string& kind, const std::string& problem) {
    ++list_.left_out.rows[kind];
    warn(problem);
  }

  void warn(const std::string& problem) {
    if (first_problem_.empty()) first_problem_ = "line " + std::to_string(line_) + " " + printable(problem);
    if (++warned_ > most_named) return;
    list_.warnings.push_back(printable(path_ + ", line " + std::to_string(line_) + ": " + problem) + " (row left out)");
  }

  void finish() {
    SIMCLR_CHECK(!list_.files.empty(), printable(path_), ": no row names a picture of ", read_kinds(),
                 first_problem_.empty() ? "" : ": " + first_problem_);
    if (warned_ > most_named) {
      list_.warnings.push_back(printable(path_) + ": " + counted(warned_ - std::int64_t{most_named}, "row") +
                               " more are left out");
    }
    // Rows whose file is missing may have been the last of their label.
    std::set<std::string> names;
    for (const std::int32_t label : list_.labels) {
      if (label >= 0) names.insert(labels_.all()[static_cast<std::size_t>(label)]);
    }
    list_.classes = sorted_classes(names);
    std::vector<std::int32_t> place(labels_.all().size(), -1);
    for (std::size_t c = 0; c < list_.classes.size(); ++c) {
      place[labels_.number(list_.classes[c])] = static_cast<std::int32_t>(c);
    }
    for (std::int32_t& label : list_.labels) label = label < 0 ? -1 : place[static_cast<std::size_t>(label)];
    table_.parts = parts_.all();
    table_.columns = printable(path_) + ": " + text_of(columns_, first_);
  }

  enum class Backslash { unknown, is_a_letter, parts_folders };

  const std::string path_;
  const fs::path folder_;
  PictureTable table_;
  PictureList& list_ = table_.pictures;
  std::vector<std::string> first_;  // row that can be read
  Columns columns_;
  Texts labels_, parts_;
  std::int64_t line_ = 0;
  bool utf8_ = true;                 // up to it
  std::vector<std::int64_t> lines_;  // of the pictures
  std::unordered_set<std::size_t> seen_;
  Backslash backslash_ = Backslash::unknown;
  std::size_t tried_ = 0;  // paths, to know what it is
  std::string first_problem_;
  std::size_t warned_ = 0;
};

}  // namespace

bool is_table_name(const std::string& path) {
  const std::string ending = ending_of(path);
  return ending == ".csv" || ending == ".tsv" || ending == ".tab";
}

PictureTable read_picture_table(const std::string& path) {
  return Reader(path).read();
}

}  // namespace simclr::data
