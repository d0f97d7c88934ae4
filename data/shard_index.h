#pragma once

// Private: which samples one shard holds, and where (shards.h).

#include "file.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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
    std::uint32_t ending;  // in `endings` and `spellings`
  };
  /// Members that belong to no sample: how many, and the first one's name, a text.
  struct Unused {
    std::uint32_t count = 0, first = none;
  };
  struct LeftOut {
    Unused unnamed;   // whose names are no key and ending
    Unused links;     // and other things that are no files
    Unused repeated;  // a later one has the same name
    Unused large;     // 4 GiB and more
  };
  /// Zeros where a member may have been.
  struct Zeros {
    std::uint64_t bytes = 0, first = 0;  // where the first lie
  };

  std::span<const Member> members;
  std::span<const Sample> samples;
  std::span<const std::uint32_t> endings;    // texts, in lower case: "jpg"
  std::span<const std::uint32_t> spellings;  // of each of these, as it is written: what member_name() takes
  std::span<const std::uint32_t> labels;     // texts
  std::span<const char> texts;
  std::uint32_t problem = none;  // a text: why the shard is not used, or only up to some member
  LeftOut left_out;
  Zeros zeros;
  std::shared_ptr<const void> owner;  // of all these

  static bool is_label(std::uint32_t label) { return label < unreadable; }
  const char* text(std::uint32_t at) const { return texts.data() + at; }
  std::span<const Member> members_of(std::size_t sample) const {
    const std::size_t end = sample + 1 < samples.size() ? samples[sample + 1].first : members.size();
    return members.subspan(samples[sample].first, end - samples[sample].first);
  }
};

/// What a member is called in its shard, "./a/7.JPG": its sample's key, "a/7", in what stands around that, "./.JPG".
std::string member_name(std::string_view key, std::string_view spelling);
/// The same of member `m` of a sample.
std::string member_name(const ShardIndex& index, std::size_t sample, std::size_t m);

/// Whether both find the same members in the same places.
bool finds_the_same(const ShardIndex& one, const ShardIndex& other);

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
