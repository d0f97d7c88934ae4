#include "sample_store.h"

#include "file.h"

#include <simclr/core/error.h>
#include <simclr/core/posix.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <random>
#include <type_traits>
#include <utility>

namespace simclr::data {
namespace {

/// More than any machine has, and less than a process can map.
constexpr std::int64_t most_mapped = std::int64_t{1} << 45;
constexpr std::int64_t alignment = 8;  // the largest dtype's

/// Where a sample is.
enum Kept : std::uint32_t { nowhere, taken, in_memory, in_file };

/// `file` from `offset` on, or zeros where `file` is negative.
std::shared_ptr<std::byte> map(int file, std::int64_t offset, std::int64_t bytes, int protection) {
  const auto size = static_cast<std::size_t>(bytes);
  void* memory = ::mmap(nullptr, size, protection, file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, offset);
  SIMCLR_CHECK(memory != MAP_FAILED, "decoded cache: cannot map ", bytes, " bytes", system_reason(errno));
  return {static_cast<std::byte*>(memory), [size](std::byte* begin) { ::munmap(begin, size); }};
}

/// A file in memory, which takes only what is written to it. Its name is for whoever looks for it in /proc.
Descriptor file_in_memory(std::int64_t bytes) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);  // beyond it a signal would end the process
  SIMCLR_CHECK(static_cast<rlim_t>(bytes) <= limit.rlim_cur, "may not have a file of ", bytes, " bytes (ulimit -f)");
  std::random_device random;
  const std::string name = "simclr-decoded-" + std::to_string(random()) + "-" + std::to_string(random());
  Descriptor file(::memfd_create(name.c_str(), MFD_CLOEXEC));
  SIMCLR_CHECK(file.is_open() && ::ftruncate(file.number(), bytes) == 0, "cannot make a file of ", bytes,
               " bytes in memory", system_reason(errno));
  return file;
}

/// Takes `bytes` at `end`, which does not pass `most`. Returns where; negative: there is no room.
std::int64_t take(std::atomic<std::int64_t>& end, std::int64_t bytes, std::int64_t most) {
  std::int64_t offset = end;
  while (bytes <= most - offset) {
    if (end.compare_exchange_weak(offset, offset + bytes)) return offset;
  }
  return -1;
}

/// The sample's bytes and its warning. Returns the errno of what failed, or 0.
int write(int file, std::int64_t offset, const Sample& sample) {
  for (const auto part : {sample.bytes, std::as_bytes(std::span(sample.warning))}) {
    const int error = posix::transfer(part.size(), [&](std::size_t done, std::size_t count) {
      return ::pwrite(file, part.data() + done, count, offset + static_cast<off_t>(done));
    });
    if (error != 0) return error == posix::end_of_file ? ENOSPC : error;
    offset += std::ssize(part);
  }
  return 0;
}

}  // namespace

/// Zeros at first. Processes that share it see each other's changes: atomics of these types need no lock.
struct SampleStore::Table {
  std::int64_t size, most_memory;                  // written before anybody else sees the table
  std::atomic<std::int64_t> memory_end, file_end;  // where the next sample goes
  std::atomic<std::int64_t> in_memory, memory_bytes, in_file, file_bytes;
  std::atomic<int> file_error;
  std::atomic<bool> full;
  static_assert(std::atomic<std::int64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free &&
                std::atomic<int>::is_always_lock_free);
};

/// What is known of a sample. Whoever has taken it writes the rest, and `place` last; then all may read it.
struct SampleStore::Slot {
  std::atomic<std::uint32_t> place;
  std::int32_t label;
  std::int64_t offset, bytes, warning_bytes;
  Shape shape;
  DType dtype;
  bool finite;
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free && std::is_trivially_copyable_v<Shape>);
};

SampleStore::SampleStore(std::int64_t size, std::int64_t most_memory, Descriptor file)
    : size_(most_memory > 0 || file.is_open() ? size : 0),  // what keeps nothing takes nothing
      owned_(static_cast<std::size_t>(size_)),
      file_(std::move(file)) {
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  const std::int64_t bytes = sizeof(Table) + size_ * static_cast<std::int64_t>(sizeof(Slot));
  table_bytes_ = (bytes + page - 1) / page * page;
  memory_ = map(-1, 0, table_bytes_, PROT_READ | PROT_WRITE);
  table().size = size_;
  table().most_memory = most_memory;
}

SampleStore::Table& SampleStore::table() const {
  return *reinterpret_cast<Table*>(memory_.get());
}

SampleStore::Slot& SampleStore::slot(std::int64_t i) const {
  return reinterpret_cast<Slot*>(memory_.get() + sizeof(Table))[i];
}

void SampleStore::share(World& world) {
  if (world.size() == 1) return;
  Descriptor shared, file;
  std::shared_ptr<std::byte> memory, bytes;
  const auto map_shared = [&](std::int64_t most_memory) {
    if (most_memory > 0) bytes = map(shared.number(), table_bytes_, most_memory, PROT_READ);
  };
  const auto map_table = [&]() -> Table& {
    memory = map(shared.number(), 0, table_bytes_, PROT_READ | PROT_WRITE);
    return *reinterpret_cast<Table*>(memory.get());
  };
  const auto make = [&] {
    const std::int64_t most = std::min(table().most_memory, most_mapped);
    shared = file_in_memory(table_bytes_ + most);
    // Slots are stored to as mapped: memory that is not to be had then would end the process.
    const int error = ::posix_fallocate(shared.number(), 0, table_bytes_);
    SIMCLR_CHECK(error == 0, "has no memory for ", table_bytes_, " bytes", system_reason(error));
    Table& made = map_table();
    made.size = size_;
    made.most_memory = most;
    map_shared(most);
    std::vector<int> files = {shared.number()};
    if (file_.is_open()) files.push_back(file_.number());
    return files;
  };
  const auto use = [&](std::vector<Descriptor> files) {
    shared = std::move(files[0]);
    if (files.size() > 1) file = std::move(files[1]);
    const Table& found = map_table();
    SIMCLR_CHECK(found.size == size_, "has ", size_, " samples to keep, the first rank of its host ", found.size);
    map_shared(found.most_memory);
  };
  not_shared_ = open_on_host(world, make, use);
  if (!not_shared_.empty()) table().most_memory /= world.local_size();
  if (!not_shared_.empty() || world.local_size() == 1) return;
  memory_ = std::move(memory);
  bytes_ = std::move(bytes);
  shared_ = std::move(shared);
  if (world.local_rank() > 0) file_ = std::move(file);
  owned_ = std::vector<Owned>();  // clear() would keep its memory
  ranks_ = world.local_size();
}

bool SampleStore::find(std::int64_t i, Sample& sample) const {
  if (size_ == 0) return false;
  const Slot& kept = slot(i);
  const std::uint32_t place = kept.place.load(std::memory_order_acquire);
  if (place != in_memory && place != in_file) return false;
  const auto size = static_cast<std::size_t>(kept.bytes), warning = static_cast<std::size_t>(kept.warning_bytes);
  sample = {.bytes = {},
            .shape = kept.shape,
            .dtype = kept.dtype,
            .label = kept.label,
            .owner = nullptr,
            .finite = kept.finite};
  if (place == in_memory && !shared_.is_open()) {
    const Owned& owned = owned_[static_cast<std::size_t>(i)];
    sample.bytes = {owned.bytes, size};
    sample.warning = owned.warning;
    sample.owner = owned.owner;
    return true;
  }
  const std::byte* begin = nullptr;
  if (place == in_memory) {
    begin = bytes_.get() + kept.offset;
    sample.owner = bytes_;
  } else {
    const auto read = std::make_shared<std::vector<std::byte>>(size + warning);
    const int error = posix::transfer(read->size(), [&](std::size_t done, std::size_t count) {
      return ::pread(file_.number(), read->data() + done, count, kept.offset + static_cast<off_t>(done));
    });
    if (error != 0) table().file_error = error == posix::end_of_file ? EIO : error;
    if (error != 0) return false;
    begin = read->data();
    sample.owner = read;
  }
  sample.bytes = {begin, size};
  sample.warning = {reinterpret_cast<const char*>(begin + size), warning};
  return true;
}

void SampleStore::keep(std::int64_t i, const Sample& sample) {
  if (size_ == 0) {
    table().full = true;
    return;
  }
  Slot& kept = slot(i);
  std::uint32_t free = nowhere;
  if (!kept.place.compare_exchange_strong(free, taken)) return;  // another was faster, or it does not fit
  kept.label = sample.label;
  kept.bytes = std::ssize(sample.bytes);
  kept.warning_bytes = std::ssize(sample.warning);
  kept.shape = sample.shape;
  kept.dtype = sample.dtype;
  kept.finite = sample.finite;
  if (keep_in_memory(i, sample)) {
    kept.place.store(in_memory, std::memory_order_release);
  } else if (keep_in_file(i, sample)) {
    kept.place.store(in_file, std::memory_order_release);
  } else {
    table().full = true;
  }
}

bool SampleStore::keep_in_memory(std::int64_t i, const Sample& sample) {
  Slot& kept = slot(i);
  if (!shared_.is_open()) {
    if (take(table().memory_end, kept.bytes, table().most_memory) < 0) return false;
    owned_[static_cast<std::size_t>(i)] = {sample.bytes.data(), sample.warning, sample.owner};
  } else {
    const std::int64_t whole = (kept.bytes + kept.warning_bytes + alignment - 1) / alignment * alignment;
    kept.offset = take(table().memory_end, whole, table().most_memory);
    // A write tells of memory that is not to be had. Storing to the mapped bytes would end the process then.
    if (kept.offset < 0) return false;
    if (write(shared_.number(), table_bytes_ + kept.offset, sample) != 0) {
      table().memory_end = table().most_memory;  // nor will there be for the next
      return false;
    }
  }
  ++table().in_memory;
  table().memory_bytes += kept.bytes;
  return true;
}

bool SampleStore::keep_in_file(std::int64_t i, const Sample& sample) {
  if (!file_.is_open() || table().file_error != 0) return false;
  Slot& kept = slot(i);
  kept.offset = table().file_end.fetch_add(kept.bytes + kept.warning_bytes);
  if (const int error = write(file_.number(), kept.offset, sample); error != 0) {
    table().file_error = error;
    return false;
  }
  ++table().in_file;
  table().file_bytes += kept.bytes;
  return true;
}

DecodedCache::State SampleStore::state() const {
  const Table& now = table();
  return {.in_memory = now.in_memory,
          .memory_bytes = now.memory_bytes,
          .in_file = now.in_file,
          .file_bytes = now.file_bytes,
          .full = now.full,
          .file_problem = now.file_error == 0 ? "" : system_reason(now.file_error).substr(2),
          .ranks = ranks_,
          .not_shared = not_shared_};
}

}  // namespace simclr::data
