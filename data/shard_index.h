#pragma once

// Private: which samples one shard holds, and where (shards.h).

#include "file.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace simclr::data {

/// A shard's samples in flat arrays, so that a kept index is mapped into memory and used as it lies. Texts are offsets
/// into `texts`, where each ends with a zero byte. 12 bytes a sample and 16 a member, besides its key.
struct ShardIndex {
  static constexpr std::uint32_t none = ~std::uint32_t{0}, unreadable = none - 1;
  static constexpr std::int64_t most_member_bytes = 0xffffffff;

  struct Sample {
    std::uint32_t key;    // a text
    std::uint32_t first;  // of its members, which end where the next sample's begin
    std::uint32_t label;  // in `labels`; or none; or unreadable: its member says one that cannot be read
  };
  struct Member {
    std::uint64_t offset;
    std::uint32_t bytes;
    std::uint32_t ending;  // in `endings`
  };
  /// Members that belong to no sample.
  struct LeftOut {
    std::uint32_t unnamed = 0;   // whose names are no key and ending
    std::uint32_t links = 0;     // and other things that are no files
    std::uint32_t repeated = 0;  // a later one has the same name
    std::uint32_t large = 0;     // 4 GiB and more
  };

  std::span<const Member> members;
  std::span<const Sample> samples;
  std::span<const std::uint32_t> endings, labels;  // texts
  std::span<const char> texts;
  std::uint32_t problem = none;  // a text: why the shard is not used, or only up to some member
  LeftOut left_out;
  std::shared_ptr<const void> owner;  // of all these

  static bool is_label(std::uint32_t label) { return label < unreadable; }
  const char* text(std::uint32_t at) const { return texts.data() + at; }
  std::span<const Member> members_of(std::size_t sample) const {
    const std::size_t end = sample + 1 < samples.size() ? samples[sample + 1].first : members.size();
    return members.subspan(samples[sample].first, end - samples[sample].first);
  }
};

/// Whether this build can make one.
bool can_index_shards();

/// Reads the headers of a tar file, and the members that hold labels. What is wrong with it is told in `problem`.
ShardIndex make_shard_index(const OpenFile& shard);

/// The index that is kept in `folder` for this shard as it is now; without an owner where there is none, or a damaged
/// one.
ShardIndex kept_shard_index(const std::string& folder, const OpenFile& shard);

/// Keeps it. Throws Error where it cannot be written.
void keep_shard_index(const std::string& folder, const OpenFile& shard, const ShardIndex& index);

}  // namespace simclr::data
