#pragma once

// Shards, opened for tests.

#include <simclr/data/shards.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace simclr::test {

using Names = std::vector<std::string>;

inline std::string text_of(const Bytes& bytes) {
  return {bytes.begin(), bytes.end()};
}

/// Shards, and what was said of them.
struct Opened {
  Names warnings;
  std::shared_ptr<const data::Shards> shards;

  explicit Opened(const Names& paths, const std::string& index_folder = {}) {
    shards = std::make_shared<const data::Shards>(
        paths, data::ShardOptions{.index_folder = index_folder,
                                  .on_warning = [this](const std::string& line) { warnings.push_back(line); }});
  }
  const data::Shards* operator->() const { return shards.get(); }

  /// "a/1: jpg=first cls=0" for each sample.
  Names all() const {
    Names lines;
    for (std::int64_t i = 0; i < shards->size(); ++i) {
      std::string line(shards->key(i));
      line += ":";
      for (int m = 0; m < shards->members(i); ++m) {
        line += " " + std::string(shards->member(i, m).ending) + "=" + text_of(shards->read(i, m));
      }
      lines.push_back(line);
    }
    return lines;
  }
};

/// In a build that reads no shards there is but this to test.
inline bool no_shards() {
  if (data::reads_shards()) return false;
  CHECK_THAT(message_of([] { Opened opened({"1.tar"}); }), Catch::Matchers::Contains("install libarchive-dev"));
  return true;
}

}  // namespace simclr::test
