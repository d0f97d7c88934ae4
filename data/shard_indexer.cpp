// Finds out what a tar file holds. libarchive reads the headers; the bytes between them are skipped.

#include "shard_arrays.h"
#include "shard_index.h"
#include "shard_label.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#ifdef SIMCLR_HAVE_ARCHIVE

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

namespace simclr::data {
namespace {

/// The file as libarchive asks for it.
struct Source {
  const OpenFile& file;
  std::int64_t at = 0;
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(1 << 16);

  static la_ssize_t read(archive* reader, void* self, const void** bytes) {
    auto& source = *static_cast<Source*>(self);
    const auto count = std::min(std::ssize(source.buffer), source.file.size() - source.at);
    const std::string problem = source.file.read(source.at, {source.buffer.data(), static_cast<std::size_t>(count)});
    if (!problem.empty()) {
      archive_set_error(reader, EIO, "%s", problem.c_str());
      return -1;
    }
    source.at += count;
    *bytes = source.buffer.data();
    return count;
  }

  static la_int64_t skip(archive*, void* self, la_int64_t wanted) {
    auto& source = *static_cast<Source*>(self);
    const std::int64_t count = std::min<std::int64_t>(wanted, source.file.size() - source.at);
    source.at += count;
    return count;
  }
};

/// The name of what the bytes were compressed with; empty: they were not.
std::string compression_of(const OpenFile& shard) {
  std::array<std::uint8_t, 6> bytes{};
  if (shard.size() < std::ssize(bytes) || !shard.read(0, bytes).empty()) return {};
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  using namespace std::string_view_literals;
  constexpr std::pair<std::string_view, const char*> kinds[] = {{"\x1f\x8b"sv, "gzip"},
                                                                {"BZh"sv, "bzip2"},
                                                                {"\xfd"sv
                                                                 "7zXZ\0"sv,
                                                                 "xz"},
                                                                {"\x28\xb5\x2f\xfd"sv, "zstd"},
                                                                {"\x04\x22\x4d\x18"sv, "lz4"}};
  for (const auto& [magic, name] : kinds) {
    if (text.starts_with(magic)) return name;
  }
  return {};
}

class Indexer {
 public:
  explicit Indexer(const OpenFile& shard) : shard_(shard), source_{shard} {}

  ShardIndex run() {
    const std::string compression = compression_of(shard_);
    if (shard_.size() == 0) {
      refuse("the file is empty");
    } else if (!compression.empty()) {
      refuse("is compressed by " + compression + ", so that no sample can be read alone; unpack it");
    } else {
      read_all();
    }
    return finish();
  }

 private:
  static constexpr std::int64_t block = 512;
  static constexpr std::int64_t most_padding = 1 << 20;  // zeros behind the last member: tar writes to a multiple

  /// What came before stays where it can be used all the same.
  void stop(const std::string& problem) { problem_ = problem; }
  void refuse(const std::string& problem) {
    arrays_->members.clear();
    arrays_->samples.clear();
    owners_.clear();
    stop(problem);
  }

  void read_all() {
    const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), &archive_read_free);
    archive_read_support_format_tar(reader.get());
    archive_read_set_format_option(reader.get(), "tar", "read_concatenated_archives", "1");
    archive_read_set_read_callback(reader.get(), &Source::read);
    archive_read_set_skip_callback(reader.get(), &Source::skip);
    archive_read_set_callback_data(reader.get(), &source_);
    int status = archive_read_open1(reader.get());
    while (problem_.empty() && status == ARCHIVE_OK) {
      archive_entry* entry = nullptr;
      status = archive_read_next_header(reader.get(), &entry);
      if (status == ARCHIVE_EOF) break;
      // A warning is of the name, which the locale cannot show, or of an attribute that nobody needs.
      if (status == ARCHIVE_OK || status == ARCHIVE_WARN) {
        status = ARCHIVE_OK;
        take(reader.get(), entry);
      }
    }
    if (!problem_.empty()) return;
    if (status != ARCHIVE_EOF) {
      const char* reason = archive_error_string(reader.get());
      const std::string why = printable(reason ? reason : "unknown error");
      const bool cut = why.starts_with("Truncated");
      stop(arrays_->samples.empty() ? "is no tar file (" + why + ")"
                                    : std::string(cut ? "is cut off" : "is damaged") + " behind byte " +
                                          std::to_string(end_) + " (" + why + ")");
    } else if (const std::int64_t end = (end_ + block - 1) / block * block; end >= shard_.size()) {
      stop("ends without the mark that ends a tar file, so samples may be missing");
    } else if (shard_.size() - end > most_padding) {
      add_zeros(end, shard_.size() - end);
    }
  }

  void add_zeros(std::int64_t at, std::int64_t bytes) {
    if (zeros_.bytes == 0) zeros_.first = static_cast<std::uint64_t>(at);
    zeros_.bytes += static_cast<std::uint64_t>(bytes);
  }

  /// From where a header should begin to the bytes behind it: in joined tar files the first one's end lies there, and
  /// where blocks were lost their hole. libarchive reads on behind either.
  void look_for_zeros(std::int64_t begin, std::int64_t end) {
    std::array<std::uint8_t, block> bytes{};
    const auto is_zero = [&](std::int64_t at) {
      return shard_.read(at, bytes).empty() && std::all_of(bytes.begin(), bytes.end(), [](auto b) { return b == 0; });
    };
    std::int64_t at = begin;
    while (end - at > block && is_zero(at)) at += block;  // the last block is a header
    if (at > begin) add_zeros(begin, at - begin);
  }

  void leave_out(ShardIndex::Unused& unused, const std::string& name) {
    if (unused.count++ == 0) unused.first = arrays_->add_text(name);
  }

  void take(archive* reader, archive_entry* entry) {
    ShardIndex::LeftOut& out = left_out_;
    // Behind the header: archive_read_header_position() is where a long name's own header begins.
    const std::int64_t offset = archive_filter_bytes(reader, 0);
    const std::int64_t bytes = archive_entry_size(entry);
    const auto type = archive_entry_filetype(entry);
    const char* path = archive_entry_pathname(entry);
    const std::string name = path ? path : "";
    if (archive_entry_sparse_count(entry) > 0) {
      return refuse("has a sparse member, " + printable(name) +
                    "; write it again without holes (tar without --sparse)");
    }
    look_for_zeros(archive_read_header_position(reader), offset);
    end_ = offset;
    if (type == AE_IFDIR) return;
    if (type != AE_IFREG || archive_entry_hardlink(entry) != nullptr) return leave_out(out.links, name);
    if (bytes > shard_.size() - offset) return stop("is cut off within " + printable(name));
    end_ = offset + bytes;
    if (bytes > ShardIndex::most_member_bytes) return leave_out(out.large, name);
    std::string_view key, rest;
    if (!split(name, key, rest)) return leave_out(out.unnamed, name);
    const std::string before = name.substr(0, static_cast<std::size_t>(key.data() - name.data()));
    const std::uint32_t sample = keys_.sample_of(key),
                        ending = endings_.number_of(before + "." + std::string(rest), rest);
    add({static_cast<std::uint64_t>(offset), static_cast<std::uint32_t>(bytes), ending}, sample);
    if (says_label(endings_.ending(ending))) read_label(reader, std::string(endings_.ending(ending)), bytes, sample);
  }

  /// "./a/7.seg.png" into "a/7" and "seg.png". False for a name that begins with a dot or has none, and for those
  /// between pairs of low lines, which describe the whole shard.
  static bool split(std::string_view name, std::string_view& key, std::string_view& ending) {
    while (name.starts_with("./")) name.remove_prefix(2);
    const std::size_t base = name.rfind('/') + 1;  // 0 where there is none
    const std::size_t dot = name.find('.', base);
    if (dot == std::string_view::npos || dot == base || dot + 1 == name.size()) return false;
    key = name.substr(0, dot);
    ending = name.substr(dot + 1);
    return !(key.substr(base).starts_with("__") && key.ends_with("__"));
  }

  void add(const ShardIndex::Member& member, std::uint32_t sample) {
    if (!owners_.empty() && sample < owners_.back()) apart_ = true;
    arrays_->members.push_back(member);
    owners_.push_back(sample);
  }

  void read_label(archive* reader, const std::string& ending, std::int64_t bytes, std::uint32_t sample) {
    constexpr std::int64_t most = 1 << 20;
    std::uint32_t& label = arrays_->samples[sample].label;
    if (ending != "cls" && ShardIndex::is_label(label)) return;
    std::optional<std::string> said;
    if (bytes <= most) {
      std::string text(static_cast<std::size_t>(bytes), '\0');
      if (archive_read_data(reader, text.data(), text.size()) != bytes) return;  // the next header says why
      said = label_in(ending, text);
    }
    if (!said || said->find('\0') != std::string::npos) {
      if (!ShardIndex::is_label(label)) label = ShardIndex::unreadable;
    } else if (!said->empty()) {
      label = labels_.number_of(*said);
    }
  }

  /// Puts members that lie apart beside those of their sample.
  void sort_by_sample() {
    auto& members = arrays_->members;
    std::vector<std::uint32_t> order(members.size()), owners;
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return owners_[a] < owners_[b]; });
    std::vector<ShardIndex::Member> sorted;
    sorted.reserve(members.size());
    owners.reserve(members.size());
    for (const std::uint32_t i : order) {
      sorted.push_back(members[i]);
      owners.push_back(owners_[i]);
    }
    members = std::move(sorted);
    owners_ = std::move(owners);
  }

  /// The samples' first members. Of several members of one name the last counts.
  void group() {
    if (apart_) sort_by_sample();
    auto& members = arrays_->members;
    struct Seen {
      std::uint32_t sample = ShardIndex::none, at = 0;
    };
    std::vector<Seen> seen(arrays_->endings.size());  // where an ending was met last, in any case of its letters
    std::uint32_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const ShardIndex::Member member = members[i];
      const std::uint32_t sample = owners_[i];
      if (i == 0 || sample != owners_[i - 1]) arrays_->samples[sample].first = kept;
      Seen& last = seen[endings_.same(member.ending)];
      if (last.sample == sample) {
        const char* texts = arrays_->texts.data();
        leave_out(left_out_.repeated, member_name(texts + arrays_->samples[sample].key,
                                                  texts + arrays_->spellings[members[last.at].ending]));
        members[last.at] = member;
      } else {
        last = {sample, kept};
        members[kept++] = member;
      }
    }
    members.resize(kept);
  }

  ShardIndex finish() {
    group();
    ShardIndex index;
    if (!problem_.empty()) index.problem = arrays_->add_text(problem_);
    index.members = arrays_->members;
    index.samples = arrays_->samples;
    index.endings = arrays_->endings;
    index.spellings = arrays_->spellings;
    index.labels = arrays_->labels;
    index.texts = arrays_->texts;
    index.left_out = left_out_;
    index.zeros = zeros_;
    index.owner = arrays_;
    return index;
  }

  const OpenFile& shard_;
  Source source_;
  std::shared_ptr<ShardArrays> arrays_ = std::make_shared<ShardArrays>();
  ShardKeys keys_{*arrays_};
  ShardEndings endings_{*arrays_};
  ShardTexts labels_{*arrays_, arrays_->labels};
  std::vector<std::uint32_t> owners_;  // the sample of each member
  bool apart_ = false;                 // some sample's members do not lie side by side
  std::int64_t end_ = 0;               // of the last member's bytes
  ShardIndex::LeftOut left_out_;
  ShardIndex::Zeros zeros_;
  std::string problem_;
};

}  // namespace

bool can_index_shards() {
  return true;
}

ShardIndex make_shard_index(const OpenFile& shard) {
  return Indexer(shard).run();
}

}  // namespace simclr::data

#else

namespace simclr::data {

bool can_index_shards() {
  return false;
}

ShardIndex make_shard_index(const OpenFile& shard) {
  fail(printable(shard.path()), ": this build reads no tar shards; install libarchive-dev and build again");
}

}  // namespace simclr::data

#endif
