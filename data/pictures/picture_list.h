#pragma once

#include <simclr/core/export.h>
#include <simclr/data/path_list.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace simclr::data {

/// What a folder holds that is not read.
struct LeftOut {
  std::map<std::string, std::int64_t> pictures;  // of kinds that are not read, by ending: ".heic" -> 24
  std::map<std::string, std::string> packages;   // by endings among these: what a build that reads them needs
  std::map<std::string, std::int64_t> files;     // that are no pictures, by ending; "": without one
  std::map<std::string, std::set<std::string>> picture_folders;  // where those of an ending lie, from the place on
  std::map<std::string, std::set<std::string>> file_folders;
  std::int64_t dotted = 0;                   // files whose names begin with a dot
  std::int64_t hidden = 0;                   // pictures in the hidden folders
  std::vector<std::string> hidden_folders;   // those that hold pictures
  std::int64_t known = 0;                    // pictures that a place before has
  std::vector<std::string> links_back;       // links to a folder that is being read already, or to one above it
  std::vector<std::string> dead_links;       // to nothing
  std::vector<std::string> unlisted;         // folders that could not be listed
  std::vector<std::string> empty;            // folders that hold nothing: a class may be meant
  std::map<std::string, std::int64_t> rows;  // of a list, by what is wrong with them: "without a path" -> 3

  /// Counts a file, by its path from the place, which picture_kind() says to be of that kind.
  void add_file(const std::string& path, const std::string& kind);
  /// Likewise, by its ending, ".txt", and the folder it lies in, "cats/"; empty: the place itself.
  void add_ending(const std::string& ending, const std::string& folder, const std::string& kind);
  /// "24 .heic pictures in cats, 1 .txt file, the dead link old"; empty where nothing was left out.
  SIMCLR_API std::string text() const;
};

/// The pictures of a folder and of all folders below it, of a list, or of several of them.
struct PictureList {
  std::string dir;
  PathList files;  // paths from `dir`; of a folder: folder by folder, in order of the names in each
  std::vector<std::int32_t> labels = {};  // of each file, -1: none; empty: the files' folders say them
  std::vector<std::string> classes = {};  // that the labels are of
  std::string source = {};                // what names the files, if not `dir`: "pets.csv"
  bool links = false;                     // whether files may be links, which are asked of each then
  LeftOut left_out = {};
  std::vector<std::string> warnings = {};  // a line for each folder that could not be listed, or for rows of a list

  /// What names the files, for messages.
  const std::string& place() const { return source.empty() ? dir : source; }
};

/// Lists them, by the one rule that all programs read pictures by. A file is a picture by its name (is_picture_name()),
/// or by its first bytes where the name does not tell. Folders and links to folders are looked into, but for those
/// whose names begin with ".", "@" or "__" (caches, thumbnails, what archives leave) and for links that lead back; the
/// same folder is read once below each folder of `dir`. A folder that cannot be listed is left out, with a warning.
/// .npy files are pictures where there are no others: in `dir`, or below it in a folder that is called like a part
/// (part_names.h), since test pictures may be of another kind. Files whose names begin with a dot are left out. A dead
/// link counts as a picture where it is named like one: reading it tells. Throws Error where `dir` is no folder or
/// cannot be listed.
SIMCLR_API PictureList list_pictures(const std::string& dir);

/// The same of the files in `dir` itself, and of what its hidden folders hide; other folders are not looked into.
SIMCLR_API PictureList list_own_pictures(const std::string& dir);

/// What a file is whose name does not say that it is a picture, by its first bytes: what picture_kind() says, or
/// nothing. Endings that notes have beside each picture of some sets are believed: there may be a million, on a slow
/// disk.
SIMCLR_API std::string kind_of_file(const std::string& path);

/// The names of the folders right below `dir` that list_pictures() looks into, sorted. Throws Error as it does.
SIMCLR_API std::vector<std::string> list_folders(const std::string& dir);

}  // namespace simclr::data
