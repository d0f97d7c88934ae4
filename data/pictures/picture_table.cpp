#include "../no_label.h"
#include "../numbered_texts.h"
#include "../row_warnings.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_table.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

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

bool is_address(const std::string& path) {
  return path.find("://") != std::string::npos;
}

/// The first column that says by its ending that it is a picture's path; -1: none does.
int path_in(const std::vector<std::string>& row) {
  const auto found = std::find_if(row.begin(), row.end(),
                                  [](const auto& field) { return is_picture_name(field) && !is_address(field); });
  return found == row.end() ? -1 : static_cast<int>(found - row.begin());
}

/// Of a table that begins with these rows. Of a header that calls no column by a name for paths, and has no picture's
/// name below it, the column of paths is -1. Paths begin in `folder`.
Columns columns_of(const std::vector<std::string>& first, const std::vector<std::string>& second,
                   const fs::path& folder) {
  const int count = static_cast<int>(first.size());
  Columns columns{.path = find_column(first, path_names),
                  .label = find_column(first, label_names),
                  .part = find_column(first, part_names)};
  const bool known = columns.path >= 0 || columns.label >= 0;
  const int below = path_in(second);
  columns.header = std::none_of(first.begin(), first.end(), is_picture_name) && (known || below >= 0);
  if (columns.header) {
    const auto names_one = [&folder](const std::string& path) {  // which its ending need not say
      std::error_code error;
      return is_picture_name(path) || (!path.empty() && fs::is_regular_file(folder / path, error));
    };
    if (below >= 0 && (columns.path < 0 || !names_one(second[static_cast<std::size_t>(columns.path)]))) {
      columns.path = below;
    }
    if (!known && count == 2) columns.label = 1 - columns.path;
    return columns;
  }
  const int path = std::max(path_in(first), 0);
  return {.path = path, .label = path + 1 < count ? path + 1 : path - 1};
}

/// The first column that holds numbers behind each other, the values of a picture; -1: none does.
int pixels_in(const std::vector<std::string>& row) {
  constexpr auto least = 16;  // a name has fewer
  const auto found = std::find_if(row.begin(), row.end(), [](const std::string& field) {
    return std::count(field.begin(), field.end(), ' ') >= least &&
           field.find_first_not_of("0123456789. ") == std::string::npos;
  });
  return found == row.end() ? -1 : static_cast<int>(found - row.begin());
}

std::string text_of(const Columns& columns, const std::vector<std::string>& first) {
  const auto name = [&](int column) {
    const std::string number = "column " + std::to_string(column + 1);
    const std::string& said = first[static_cast<std::size_t>(column)];
    return columns.header && !said.empty() ? printable(said) : number;
  };
  std::string text = (columns.header ? "paths from " : "no header: paths from ") + name(columns.path);
  text += columns.label < 0 ? std::string("; no labels") : ", labels from " + name(columns.label);
  if (columns.label < 0 && columns.header && first.size() > 1) text += " (a column called label has them)";
  if (columns.part >= 0) text += ", parts from " + name(columns.part);
  std::vector<std::string> unused;
  for (int c = 0; c < static_cast<int>(first.size()); ++c) {
    if (c != columns.path && c != columns.label && c != columns.part) unused.push_back(name(c));
  }
  return text + (unused.empty() ? "" : "; not used: " + listed(unused, 6));
}

class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path),
        folder_(fs::path(path).parent_path()),
        whole_folder_((fs::absolute(path).lexically_normal().parent_path() / "").string()) {
    list_.dir = folder_.string();
    list_.source = path;
    list_.links = true;
  }

  PictureTable read() {
    TableReader rows(path_);
    while (rows.next()) {
      line_ = rows.line();
      if (!rows.problem().empty()) {
        leave_out("that cannot be read", rows.problem());
      } else if (first_.empty()) {
        first_ = rows.fields();
        first_line_ = line_;
      } else {
        if (!settled_) settle(rows.fields());
        take(rows.fields());
      }
    }
    if (!settled_ && !first_.empty()) settle({});
    look_for_files();
    finish();
    return std::move(table_);
  }

 private:
  /// Knows the columns once there is a second row, if there is one.
  void settle(const std::vector<std::string>& second) {
    settled_ = true;
    columns_ = columns_of(first_, second, folder_);
    SIMCLR_CHECK(columns_.path >= 0 || second.empty(), printable(path_), ": none of the columns ", listed(first_, 6),
                 " has the paths of files; call one path or file");
    const int pixels = path_in(second) < 0 ? pixels_in(second) : -1;
    SIMCLR_CHECK(pixels < 0, printable(path_), ": column ", pixels + 1, " holds pixels, not the paths of files; save ",
                 "them as pictures, or as an array, .npy");
    if (columns_.header) return;
    const std::int64_t line = std::exchange(line_, first_line_);
    take(first_);
    line_ = line;
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
    if (path.starts_with("file:///")) path.erase(0, std::string_view("file://").size());
    if (is_address(path)) {
      return leave_out("of an address", "names an address, not a file: download it first");
    }
    if (path.find('\\') != std::string::npos) path = with_slashes(path);
    while (path.starts_with("./")) path.erase(0, 2);
    const std::string& said = columns_.part < 0 ? no_text_ : fields[static_cast<std::size_t>(columns_.part)];
    const std::int32_t part = columns_.part < 0 ? 0 : parts_.number(said, lower_case(said));
    const std::string& text = columns_.label < 0 ? no_text_ : fields[static_cast<std::size_t>(columns_.label)];
    const std::int32_t label = text.empty() ? -1 : labels_.number(text);
    const auto [before, is_new] = seen_.emplace(std::hash<std::string>()(whole(path)), label);
    if (!is_new && before->second != label) {
      return leave_out("of a picture that a row before names with another label",
                       "names " + path + " once more, with another label");
    }
    if (!is_new) return leave_out("of a picture that a row before names", "names " + path + " once more");
    if (!is_picture_name(path) && !is_picture(path)) return;
    list_.files.push_back(path);
    lines_.push_back(line_);
    list_.labels.push_back(label);
    if (columns_.part >= 0) table_.part_of.push_back(static_cast<std::uint32_t>(part));
  }

  /// Of one file always the same, however its path is written, but for links.
  std::string whole(const std::string& path) const {
    const bool plain = !path.starts_with('/') && !path.starts_with("..") && path.find("/.") == std::string::npos &&
                       path.find("//") == std::string::npos;
    return plain ? whole_folder_ + path : (fs::path(whole_folder_) / path).lexically_normal().string();
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
    if (fs::is_directory(file, error)) {
      leave_out("of a folder", path + " is a folder, not a picture");
      return false;
    }
    const std::string kind = fs::is_regular_file(file, error) ? kind_of_file(file) : "";  // a pipe may never end
    if (is_read_kind(kind) || kind == ".npy") return true;
    list_.left_out.add_file(path, kind);
    problems_.add(line_, path + (kind.empty() ? " is no picture" : " is a " + kind + " picture, which are not read"));
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
    const std::string first = list_.files[missing.front()];
    SIMCLR_CHECK(missing.size() < looked_for, printable(path_), ": none of ", counted(std::ssize(missing), "file"),
                 " is there; line ", lines_[missing.front()], " is looked for as ",
                 printable(fs::absolute(folder_ / first).lexically_normal().string()), "; ", what_paths_are(first));
    for (const std::uint32_t i : missing) {
      line_ = lines_[i];
      const std::string file = list_.files[i];
      std::error_code error;
      if (fs::is_directory(folder_ / file, error)) {
        leave_out("of a folder", file + " is a folder, not a picture");
      } else {
        leave_out("of a file that is not there", file + " is not there");
      }
    }
    remove(missing);
    if (looked_for < count) {
      list_.warnings.push_back(printable(path_) + ": " + std::to_string(looked_for) + " of the " +
                               std::to_string(count) +
                               " files were looked for; if others are missing, too, reading them tells");
    }
  }

  /// What helps where none is there.
  std::string what_paths_are(const std::string& path) const {
    const std::size_t blank = path.rfind(' ');
    if (first_.size() == 1 && blank != std::string::npos && is_picture_name(path.substr(0, blank))) {
      return "fields are parted by commas, semicolons, tabs or |, not by blanks";
    }
    return std::string("paths begin in the folder of the list") +
           (ending_of(path).empty() ? ", and end as the files' names do (.jpg)" : "");
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
    problems_.add(line_, problem);
  }

  void finish() {
    SIMCLR_CHECK(!list_.files.empty(), printable(path_), ": no row names a picture of ", read_kinds(), ": ",
                 !problems_.first().empty() ? problems_.first()
                 : first_.empty()           ? "it is empty"
                                            : "it has a header alone");
    const std::vector<std::string> problems = problems_.lines();
    list_.warnings.insert(list_.warnings.end(), problems.begin(), problems.end());
    table_.columns = printable(path_) + ": " + text_of(columns_, first_);
    name_classes();
    part_rows();
  }

  /// Tells parts of which some row is left from those of which none is.
  void part_rows() {
    const std::vector<std::string> all = parts_.all();
    std::vector<bool> has_rows(all.size());
    for (const std::uint32_t part : table_.part_of) has_rows[part] = true;
    std::vector<std::uint32_t> number(all.size());
    for (std::size_t k = 0; k < all.size(); ++k) {
      number[k] = static_cast<std::uint32_t>(table_.parts.size());
      (has_rows[k] ? table_.parts : table_.parts_without_rows).push_back(all[k]);
    }
    for (std::uint32_t& part : table_.part_of) part = number[part];
  }

  /// Of the labels that are left: rows whose file is missing may have been the last of theirs.
  void name_classes() {
    std::map<std::string, std::int64_t> labels;  // and how often
    for (const std::int32_t label : list_.labels) {
      if (label >= 0) ++labels[labels_.all()[static_cast<std::size_t>(label)]];
    }
    LabelClasses named = classes_of_labels(labels, "picture");
    for (const std::string& note : named.notes) table_.columns += "\n" + printable(path_) + ": " + note;
    list_.classes = std::move(named.classes);
    std::vector<std::int32_t> place(labels_.all().size(), -1);
    for (const auto& [text, at] : named.places) place[static_cast<std::size_t>(labels_.number(text))] = at;
    for (std::int32_t& label : list_.labels) label = label < 0 ? -1 : place[static_cast<std::size_t>(label)];
  }

  enum class Backslash { unknown, is_a_letter, parts_folders };

  const std::string path_;
  const fs::path folder_;
  const std::string whole_folder_, no_text_;
  PictureTable table_;
  PictureList& list_ = table_.pictures;
  std::vector<std::string> first_;  // row that can be read
  Columns columns_;
  NumberedTexts labels_, parts_;
  bool settled_ = false;  // what columns_ are
  std::int64_t line_ = 0, first_line_ = 0;
  bool utf8_ = true;                                    // up to it
  std::vector<std::int64_t> lines_;                     // of the pictures
  std::unordered_map<std::size_t, std::int32_t> seen_;  // paths, and what they are labelled
  Backslash backslash_ = Backslash::unknown;
  std::size_t tried_ = 0;  // paths, to know what it is
  RowWarnings problems_{path_};
};

}  // namespace

PictureTable read_picture_table(const std::string& path) {
  return Reader(path).read();
}

}  // namespace simclr::data
