#include "support/tar.h"

#include "look_at_shard.h"
#include "targets.h"

#include <filesystem>
#include <fstream>
#include <string>

namespace simclr::fuzz {
namespace fs = std::filesystem;

void shard_index(Bytes bytes) {
  static const Folder folder;
  static const std::string shard = [] {
    fs::create_directory(folder.path + "/index");  // a build without libarchive makes none
    const std::string path = folder.path + "/0.tar";
    std::ofstream(path, std::ios::binary) << test::tar_member("1.jpg", "one") << test::tar_member("1.cls", "a")
                                          << test::tar_member("2.jpg", "two") << test::tar_end();
    return path;
  }();
  const std::string index_folder = folder.path + "/index";
  look_at_shard(shard, index_folder);  // makes the index, whose name is the library's matter
  for (const auto& kept : fs::directory_iterator(index_folder)) {
    std::ofstream(kept.path(), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  look_at_shard(shard, index_folder);
}

}  // namespace simclr::fuzz
