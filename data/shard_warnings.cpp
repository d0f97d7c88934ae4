#include "shard_warnings.h"
#include "shard_label.h"

#include <simclr/core/text.h>

#include <cstdint>

namespace simclr::data {
namespace {

/// Of one kind, in all shards.
struct Unused {
  std::int64_t count = 0;
  std::string first = {};  // its name

  void add(const std::string& path, const ShardIndex& index, const ShardIndex::Unused& more) {
    if (count == 0 && more.count > 0) first = printable(path + ": " + index.text(more.first));
    count += more.count;
  }
  std::string text(const std::string& one, const std::string& many) const {
    if (count == 0) return {};
    return (count == 1 ? "1 " + one + " (" : std::to_string(count) + " " + many + " (the first: ") + first + ")";
  }
};

/// What was left out of all shards, in words; empty: nothing.
std::string left_out_text(const std::vector<std::string>& paths, const std::vector<ShardIndex>& indices) {
  Unused unnamed, links, repeated, large;
  for (std::size_t s = 0; s < indices.size(); ++s) {
    const ShardIndex::LeftOut& of_shard = indices[s].left_out;
    unnamed.add(paths[s], indices[s], of_shard.unnamed);
    links.add(paths[s], indices[s], of_shard.links);
    repeated.add(paths[s], indices[s], of_shard.repeated);
    large.add(paths[s], indices[s], of_shard.large);
  }
  std::string text;
  for (const std::string& each :
       {unnamed.text("member whose name is no key.ending", "members whose names are no key.ending"),
        links.text("link or device", "links and devices"),
        repeated.text("member whose name occurs again", "members whose names occur again"),
        large.text("member of 4 GiB or more", "members of 4 GiB or more")}) {
    if (!each.empty()) text += (text.empty() ? "" : ", ") + each;
  }
  return text;
}

/// Zeros where members may have been, in words; empty: there are none.
std::string zeros_text(const std::vector<std::string>& paths, const std::vector<ShardIndex>& indices) {
  std::int64_t shards = 0;
  std::uint64_t bytes = 0;
  std::string first;
  for (std::size_t s = 0; s < indices.size(); ++s) {
    const ShardIndex::Zeros& zeros = indices[s].zeros;
    if (zeros.bytes == 0) continue;
    if (shards++ == 0) first = printable(paths[s]) + ", behind byte " + std::to_string(zeros.first);
    bytes += zeros.bytes;
  }
  if (shards == 0) return {};
  return counted(shards, "shard") + (shards == 1 ? " has" : " have") + " zeros where members may have been (" +
         std::to_string(bytes) + " bytes, the first in " + first +
         "): tar files that were joined, or members that are lost; what lies behind them is read";
}

/// Shards without a sample with which nothing is wrong, in words; empty: there are none.
std::string empty_text(const std::vector<std::string>& paths, const std::vector<ShardIndex>& indices) {
  std::vector<std::string> empty;
  for (std::size_t s = 0; s < indices.size(); ++s) {
    const ShardIndex& index = indices[s];
    if (index.owner && index.samples.empty() && index.problem == ShardIndex::none) empty.push_back(paths[s]);
  }
  if (empty.empty()) return {};
  return counted(std::ssize(empty), "shard") + (empty.size() == 1 ? " holds" : " hold") +
         " no sample: " + listed(empty, 3);
}

/// Labels that cannot be read, in words; empty: there are none.
std::string unreadable_text(const std::vector<std::string>& paths, const std::vector<ShardIndex>& indices) {
  std::int64_t count = 0;
  std::string first;
  for (std::size_t s = 0; s < indices.size(); ++s) {
    const ShardIndex& index = indices[s];
    for (std::size_t i = 0; i < index.samples.size(); ++i) {
      if (index.samples[i].label != ShardIndex::unreadable || count++ > 0) continue;
      const auto members = index.members_of(i);
      std::size_t m = 0;  // which says one
      while (m + 1 < members.size() && !says_label(index.text(index.endings[members[m].ending]))) ++m;
      first = printable(paths[s] + ": " + member_name(index, i, m));
    }
  }
  if (count == 0) return {};
  return "the labels of " + counted(count, "sample") + " cannot be read, the first of " + first +
         "; .json has \"label\": a name, a whole number, true or false";
}

}  // namespace

std::vector<std::string> shard_warnings(const std::vector<std::string>& paths, const std::vector<ShardIndex>& indices) {
  std::vector<std::string> lines;
  const std::string left_out = left_out_text(paths, indices);
  if (!left_out.empty()) lines.push_back("left out of the shards: " + left_out);
  for (const auto& text : {empty_text, zeros_text, unreadable_text}) {
    const std::string line = text(paths, indices);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace simclr::data
