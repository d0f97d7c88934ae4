#include "shard_index.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/file.h>
#include <simclr/core/text.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

/// What a kept index begins with. Behind it lie members, samples, endings, spellings, labels and texts.
struct Header {
  char magic[16] = "simclr shards 3";
  std::uint64_t digest = 0;  // of what follows in the file
  std::uint64_t path = 0;    // the digest of the shard's
  FileState shard;
  std::uint64_t members = 0, samples = 0, endings = 0, labels = 0, texts = 0;
  std::uint32_t problem = ShardIndex::none;
  ShardIndex::LeftOut left_out;
  std::uint32_t unused = 0;
  ShardIndex::Zeros zeros;
};
static_assert(sizeof(Header) % alignof(ShardIndex::Member) == 0 && std::has_unique_object_representations_v<Header>);
constexpr std::size_t digest_end = offsetof(Header, digest) + sizeof(Header::digest);

/// Two folders may hold shards of the same names.
std::string absolute(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  return error ? path : whole.lexically_normal().string();
}

std::uint64_t digest_of(const std::string& text) {
  Crc64 digest;
  digest.update(text.data(), text.size());
  return digest.value();
}

fs::path index_path(const std::string& folder, const OpenFile& shard) {
  const std::string path = absolute(shard.path());
  return fs::path(folder) / (fs::path(path).stem().string() + "-" + hex(digest_of(path)) + ".shard-index");
}

Header header_of(const OpenFile& shard, const ShardIndex& index) {
  Header header;
  header.path = digest_of(absolute(shard.path()));
  header.shard = shard.state();
  header.members = index.members.size();
  header.samples = index.samples.size();
  header.endings = index.endings.size();
  header.labels = index.labels.size();
  header.texts = index.texts.size();
  header.problem = index.problem;
  header.left_out = index.left_out;
  header.zeros = index.zeros;
  return header;
}

/// Calls `each(data, bytes)` for what lies behind the header.
template <class Each>
void for_each_array(const ShardIndex& index, const Each& each) {
  each(index.members.data(), index.members.size_bytes());
  each(index.samples.data(), index.samples.size_bytes());
  each(index.endings.data(), index.endings.size_bytes());
  each(index.spellings.data(), index.spellings.size_bytes());
  each(index.labels.data(), index.labels.size_bytes());
  each(index.texts.data(), index.texts.size_bytes());
}

/// A file in memory; null where it cannot be had.
std::shared_ptr<const void> map_file(const fs::path& path, std::size_t& bytes) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return nullptr;
  struct stat status {};
  void* memory = MAP_FAILED;
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    bytes = static_cast<std::size_t>(status.st_size);
    memory = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  }
  ::close(file);
  if (memory == MAP_FAILED) return nullptr;
  return {memory, [bytes](const void* mapped) { ::munmap(const_cast<void*>(mapped), bytes); }};
}

/// The next `count` values; fewer are left: none, and `left` becomes false.
template <class T>
std::span<const T> take(const char*& next, std::size_t& bytes, std::uint64_t count, bool& fits) {
  if (!fits || count > bytes / sizeof(T)) {
    fits = false;
    return {};
  }
  const std::span<const T> values(reinterpret_cast<const T*>(next), count);
  next += values.size_bytes();
  bytes -= values.size_bytes();
  return values;
}

/// Whether what it says lies within it and within the shard.
bool is_sound(const ShardIndex& index, std::int64_t shard_bytes) {
  const auto all = [](const auto& values, const auto& rule) { return std::all_of(values.begin(), values.end(), rule); };
  const auto is_text = [&index](std::uint32_t at) { return at < index.texts.size(); };
  const auto is_first = [&](const ShardIndex::Unused& unused) { return unused.count == 0 || is_text(unused.first); };
  const auto& [unnamed, links, repeated, large] = index.left_out;
  const auto bytes = static_cast<std::uint64_t>(shard_bytes);
  std::uint32_t first = 0;
  return (index.texts.empty() || index.texts.back() == '\0') &&
         (index.problem == ShardIndex::none || is_text(index.problem)) && all(index.endings, is_text) &&
         all(index.spellings, is_text) && all(index.labels, is_text) && is_first(unnamed) && is_first(links) &&
         is_first(repeated) && is_first(large) &&
         all(index.members,
             [&](const ShardIndex::Member& member) {
               return member.offset <= bytes && member.bytes <= bytes - member.offset &&
                      member.ending < index.endings.size();
             }) &&
         all(index.samples, [&](const ShardIndex::Sample& sample) {
           return is_text(sample.key) && std::exchange(first, sample.first) <= sample.first &&
                  sample.first < index.members.size() &&
                  (!ShardIndex::is_label(sample.label) || sample.label < index.labels.size());
         });
}

/// Whether a kept index is of this shard as it is now, and whole.
bool is_of(const Header& header, const OpenFile& shard, const char* behind_digest, std::size_t bytes) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  return true;  // a fuzzer finds no digest
#endif
  const Header wanted = header_of(shard, {});
  if (header.path != wanted.path || header.shard != wanted.shard) return false;
  Crc64 digest;
  digest.update(behind_digest, bytes);
  return digest.value() == header.digest;
}

}  // namespace

std::string member_name(std::string_view key, std::string_view spelling) {
  std::size_t before = 0;
  while (spelling.substr(before).starts_with("./")) before += 2;
  return std::string(spelling.substr(0, before)).append(key).append(spelling.substr(before));
}

std::string member_name(const ShardIndex& index, std::size_t sample, std::size_t m) {
  const ShardIndex::Member& member = index.members_of(sample)[m];
  return member_name(index.text(index.samples[sample].key), index.text(index.spellings[member.ending]));
}

bool finds_the_same(const ShardIndex& one, const ShardIndex& other) {
  const auto same = [](const auto& a, const auto& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); };
  return same(std::as_bytes(one.members), std::as_bytes(other.members)) &&
         same(std::as_bytes(one.samples), std::as_bytes(other.samples)) && same(one.endings, other.endings) &&
         same(one.labels, other.labels) && same(one.texts, other.texts);
}

ShardIndex kept_shard_index(const std::string& folder, const OpenFile& shard) {
  std::size_t bytes = 0;
  const std::shared_ptr<const void> owner = map_file(index_path(folder, shard), bytes);
  if (!owner || bytes < sizeof(Header)) return {};
  const char* next = static_cast<const char*>(owner.get());
  Header header;
  std::memcpy(&header, next, sizeof header);
  if (std::memcmp(header.magic, Header().magic, sizeof header.magic) != 0) return {};
  if (!is_of(header, shard, next + digest_end, bytes - digest_end)) return {};
  next += sizeof header;
  bytes -= sizeof header;
  ShardIndex index;
  bool fits = true;
  index.members = take<ShardIndex::Member>(next, bytes, header.members, fits);
  index.samples = take<ShardIndex::Sample>(next, bytes, header.samples, fits);
  index.endings = take<std::uint32_t>(next, bytes, header.endings, fits);
  index.spellings = take<std::uint32_t>(next, bytes, header.endings, fits);
  index.labels = take<std::uint32_t>(next, bytes, header.labels, fits);
  index.texts = take<char>(next, bytes, header.texts, fits);
  index.problem = header.problem;
  index.left_out = header.left_out;
  index.zeros = header.zeros;
  if (!fits || bytes != 0 || !is_sound(index, shard.size())) return {};
  index.owner = owner;
  return index;
}

void keep_shard_index(const std::string& folder, const OpenFile& shard, const ShardIndex& index) {
  std::error_code error;
  fs::create_directories(folder, error);
  SIMCLR_CHECK(!error, folder, ": cannot make this folder: ", error.message());
  Header header = header_of(shard, index);
  Crc64 digest;
  digest.update(reinterpret_cast<const char*>(&header) + digest_end, sizeof header - digest_end);
  for_each_array(index, [&](const void* data, std::size_t bytes) { digest.update(data, bytes); });
  header.digest = digest.value();
  AtomicFile file(index_path(folder, shard));
  file.write(&header, sizeof header);
  for_each_array(index, [&](const void* data, std::size_t bytes) { file.write(data, bytes); });
  file.commit();
}

}  // namespace simclr::data
