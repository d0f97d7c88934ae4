#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// Whether this build reads tar shards.
SIMCLR_API bool reads_shards();

/// The paths that a pattern stands for, as a shell has it: "a/{000..127}.tar" is 128 of them, "{a,b}/{0..9}.tar" 20.
/// Where a range's first or last number begins with 0, all are as wide as the wider of the two. Throws Error for braces
/// that do not close or lie within others, and for more than a million paths.
SIMCLR_API std::vector<std::string> expand_braces(const std::string& pattern);

/// Whether the index of each of these shards, as it is now, is kept in `index_folder`: then they open fast.
SIMCLR_API bool are_indexed(const std::vector<std::string>& paths, const std::string& index_folder);

struct ShardOptions {
  /// Where the indices are kept, which make opening fast; made where it is missing. Nothing is written beside the data.
  /// Empty: they are made each time.
  std::string index_folder = {};
  /// Is told of each shard that is missing, refused or not whole, of what was left out, and of odd labels. Default:
  /// lines to std::cerr.
  std::function<void(const std::string& message)> on_warning = {};
};

struct ShardsState;  // private

/// A file within a shard.
struct ShardMember {
  std::string_view ending;  // "jpg", "seg.png": in lower case; lives as long as the shards
  std::int64_t offset = 0;  // of its bytes in the shard
  std::int64_t bytes = 0;
};

/// Samples in tar files, by WebDataset's convention: members whose names are equal up to the first dot of the last part
/// of the path, the key, are one sample; what follows the dot says what they are. "n01/7.jpg" and "n01/7.cls" are two
/// members of "n01/7". They need not lie side by side, but in one shard; of two with one name the later counts. Samples
/// are ordered by shard, then by their first member, so that sample i is the same in each run.
///
/// A label is the text of the member `cls`, else of `json` what is called "label", "class" or "cls": a whole number
/// (9.0 is 9), a name, true or false. Others cannot be read, as what is no JSON: these samples have none, and are
/// counted. NaN in any case, "<NA>", "#N/A" and -1 say that there is none, but for -1 where 1 is the only other label.
/// The classes are the other texts, sorted: by value where all are whole numbers (which may be written "3.0"), else by
/// name.
///
/// The tar files (ustar, pax and GNU's, not compressed, not sparse) are read in place. Where each member lies is found
/// once, and kept in the index folder by the shard's path; it is made again where another file lies there now, or other
/// bytes do, by its size, times and inode. A shard that is damaged or cut off serves the samples before the damage.
class SIMCLR_API Shards {
 public:
  /// Opens them. Throws Error where none has a sample, and in a build that reads none.
  explicit Shards(std::vector<std::string> paths, const ShardOptions& options = {});
  ~Shards();
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  std::int64_t size() const;
  /// "n01/7".
  std::string_view key(std::int64_t i) const;
  int members(std::int64_t i) const;
  /// Member 0 .. members(i) - 1, in the order of the shard.
  ShardMember member(std::int64_t i, int m) const;
  /// "shards/003.tar: n01/7.JPG", for messages: the member as it is called in the shard, as printable() has it.
  std::string name(std::int64_t i, int m) const;
  /// Its bytes, from the disk. Thread-safe. Throws Error where the shard is gone or has changed since it was indexed,
  /// or cannot be read.
  std::vector<std::uint8_t> read(std::int64_t i, int m) const;
  /// The same of its first bytes, at most so many.
  std::vector<std::uint8_t> begin_of(std::int64_t i, int m, std::int64_t most) const;

  /// Of each of the paths a digest of its samples: their keys, and the endings and sizes of their members but for those
  /// that say labels, in their order.
  std::vector<std::uint64_t> digests() const;

  /// Of sample `i`; -1: none, or one that cannot be read.
  std::int32_t label(std::int64_t i) const;
  /// Whether sample `i` has a label that cannot be read.
  bool has_unreadable_label(std::int64_t i) const;
  const std::vector<std::string>& classes() const;

  /// Those that have samples: "128 shards in a/b" or "the shard a/0.tar".
  std::string describe() const;

 private:
  std::unique_ptr<const ShardsState> state_;
};

}  // namespace simclr::data
