#include "published_files.h"

#include "../file.h"

#include <simclr/core/error.h>

#include <filesystem>
#include <sstream>

namespace simclr::data {

namespace fs = std::filesystem;

std::string published_folder(const std::string& dir, const PublishedSet& set, const std::string& file) {
  std::error_code ignored;
  for (const fs::path& folder : {fs::path(dir), fs::path(dir) / set.folder}) {
    if (fs::exists(folder / file, ignored)) return folder.string();
  }
  return {};
}

std::string find_published(const std::string& dir, const PublishedSet& set, const std::string& file) {
  if (std::string found = published_folder(dir, set, file); !found.empty()) return found;
  std::error_code ignored;
  SIMCLR_CHECK(fs::is_directory(dir, ignored), set.op, ": there is no folder ", dir,
               "; give the folder with the binary version of ", set.title);
  fail(set.op, ": no ", file, " in ", dir, " or ", (fs::path(dir) / set.folder).string(),
       "; give the folder with the binary version of ", set.title, " (not the Python or Matlab one)");
}

std::vector<std::string> read_class_names(const std::string& path, const PublishedSet& set, std::int32_t count) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  const std::vector<std::uint8_t> bytes = read_file(path, set.op, 1 << 16);
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> names;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  SIMCLR_CHECK(static_cast<std::int32_t>(names.size()) == count, set.op, ": ", path, " names ", names.size(),
               " classes, ", count, " expected; restore or delete it");
  return names;
}

}  // namespace simclr::data
