#pragma once

#include "targets.h"

#include <simclr/data/shards.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>

namespace simclr::fuzz {

/// Reads all that a tar shard says it holds. No index is kept without an index folder.
inline void look_at_shard(const std::string& path, const std::string& index_folder) {
  std::string message;
  succeeds(
      [&] {
        const data::Shards shards({path}, {.index_folder = index_folder, .on_warning = [](const std::string& line) {
                                             if (line.find('\n') != std::string::npos) finding("a warning is lines");
                                           }});
        const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
        for (std::int64_t i = 0; i < shards.size(); ++i) {
          if (shards.label(i) < -1 || shards.label(i) >= std::ssize(shards.classes())) finding("a label of no class");
          for (int m = 0; m < shards.members(i); ++m) {
            const data::ShardMember member = shards.member(i, m);
            if (member.offset < 0 || member.bytes > bytes - member.offset) finding("a member outside of the shard");
            if (static_cast<std::int64_t>(shards.read(i, m).size()) != member.bytes) finding("bytes of another size");
            if (shards.name(i, m).empty()) finding("a member without a name");
          }
        }
      },
      message);
}

}  // namespace simclr::fuzz
