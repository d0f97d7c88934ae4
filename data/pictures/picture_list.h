#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace simclr::data {

/// What a folder holds that is not read.
struct LeftOut {
  std::map<std::string, std::int64_t> pictures;  // of kinds that are not read, by ending: ".webp" -> 24
  std::map<std::string, std::int64_t> files;     // that are no pictures, by ending; "": without one
  std::int64_t dotted = 0;                       // files whose names begin with a dot
  std::int64_t hidden = 0;                       // pictures in the hidden folders
  std::vector<std::string> hidden_folders;       // those that hold pictures
  std::vector<std::string> links_back;           // links to a folder that is being read already, or to one above it
  std::vector<std::string> dead_links;           // to nothing
  std::vector<std::string> unlisted;             // folders that could not be listed

  /// "24 .webp pictures, 1 .txt file, dead link old"; empty where nothing was left out.
  SIMCLR_API std::string text() const;
};

/// The pictures of a folder and of all folders below it.
struct PictureList {
  std::string dir;
  std::vector<std::string> files;  // paths from `dir`: folder by folder, in order of the names in each
  LeftOut left_out;
  std::vector<std::string> warnings;  // a line for each folder that could not be listed
};

/// Lists them, by the one rule that all programs read pictures by. A file is a picture by its name (is_picture_name()),
/// or by its first bytes where the name does not tell. Folders and links to folders are looked into, but for those
/// whose names begin with ".", "@" or "__" (caches, thumbnails, what archives leave) and for links that lead back; the
/// same folder is read once below each folder of `dir`. A folder that cannot be listed is left out, with a warning.
/// Files whose names begin with a dot are left out. A dead link counts as a picture where it is named like one: reading
/// it tells. Throws Error where `dir` is no folder or cannot be listed.
SIMCLR_API PictureList list_pictures(const std::string& dir);

/// The names of the folders right below `dir` that list_pictures() looks into, sorted. Throws Error as it does.
SIMCLR_API std::vector<std::string> list_folders(const std::string& dir);

}  // namespace simclr::data
