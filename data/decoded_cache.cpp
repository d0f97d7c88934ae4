#include "file.h"

#include <simclr/core/error.h>
#include <simclr/core/posix.h>
#include <simclr/data/decoded_cache.h>
#include <simclr/data/free_memory.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace simclr::data {
namespace {

/// A file without a name: it is gone when it is closed, also by a crash.
int temporary_file(const std::string& folder) {
  std::string path = folder + "/simclr-decoded-XXXXXX";
  const int file = ::mkostemp(path.data(), O_CLOEXEC);
  SIMCLR_CHECK(file >= 0, "decoded cache: cannot make a file in ", folder, system_reason(errno),
               "; give a folder that exists and is writable");
  ::unlink(path.c_str());
  return file;
}

}  // namespace

struct DecodedCache::Kept {
  Sample sample;             // without bytes and owner where it lies in the file
  std::int64_t offset = -1;  // in the file; negative: in memory
  std::size_t bytes = 0;     // in the file
};

DecodedCache::DecodedCache(std::shared_ptr<const Dataset> samples, const DecodedCacheOptions& options)
    : samples_(std::move(samples)),
      most_memory_(options.memory_bytes < 0 ? free_memory() / 2 : options.memory_bytes),
      file_(options.spill_folder.empty() ? -1 : temporary_file(options.spill_folder)),
      kept_(static_cast<std::size_t>(samples_->size() * samples_->parts())) {}

DecodedCache::~DecodedCache() {
  if (file_ >= 0) ::close(file_);
}

std::int64_t DecodedCache::size() const {
  return samples_->size();
}
int DecodedCache::parts() const {
  return samples_->parts();
}
std::int32_t DecodedCache::label(std::int64_t i) const {
  return samples_->label(i);
}
const std::vector<std::int32_t>& DecodedCache::groups() const {
  return samples_->groups();
}
const std::vector<std::string>& DecodedCache::classes() const {
  return samples_->classes();
}
std::string DecodedCache::file(std::int64_t i) const {
  return samples_->file(i);
}
std::string DecodedCache::place(std::int64_t i) const {
  return samples_->place(i);
}
std::string DecodedCache::describe() const {
  return samples_->describe();
}

Sample DecodedCache::sample(std::int64_t i, int part) const {
  SIMCLR_CHECK(i >= 0 && i < size(), "decoded cache: sample ", i, " of ", size());
  SIMCLR_CHECK(part >= 0 && part < parts(), "decoded cache: part ", part, " of ", parts());
  const auto slot = static_cast<std::size_t>(i * parts() + part);
  std::shared_ptr<const Kept> kept;
  {
    const std::lock_guard lock(mutex_);
    kept = kept_[slot];
  }
  if (kept && kept->offset < 0) return kept->sample;
  Sample sample;
  if (kept && read_back(*kept, sample)) return sample;
  sample = samples_->sample(i, part);
  if (!kept && sample.owner) keep(slot, sample);
  return sample;
}

DecodedCache::State DecodedCache::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void DecodedCache::keep(std::size_t slot, const Sample& sample) const {
  const auto bytes = static_cast<std::int64_t>(sample.bytes.size());
  {
    const std::lock_guard lock(mutex_);
    auto& kept = kept_[slot];
    if (kept) return;  // another thread was faster
    if (state_.memory_bytes + bytes <= most_memory_) {
      kept = std::make_shared<const Kept>(Kept{.sample = sample});
      ++state_.in_memory;
      state_.memory_bytes += bytes;
      return;
    }
    if (file_ < 0 || !state_.file_problem.empty()) {
      state_.full = true;
      return;
    }
  }
  spill(slot, sample);
}

void DecodedCache::spill(std::size_t slot, const Sample& sample) const {
  const auto bytes = static_cast<std::int64_t>(sample.bytes.size());
  std::int64_t offset = 0;
  {
    const std::lock_guard lock(mutex_);
    offset = file_end_;
    file_end_ += bytes;  // taken, so that threads write side by side
  }
  const int error = posix::transfer(sample.bytes.size(), [&](std::size_t done, std::size_t count) {
    return ::pwrite(file_, sample.bytes.data() + done, count, offset + static_cast<off_t>(done));
  });
  const std::lock_guard lock(mutex_);
  if (error != 0) {
    state_.full = true;
    state_.file_problem = system_reason(error == posix::end_of_file ? ENOSPC : error).substr(2);
    return;
  }
  auto& kept = kept_[slot];
  if (kept) return;
  kept = std::make_shared<const Kept>(Kept{.sample = {.bytes = {},
                                                      .shape = sample.shape,
                                                      .dtype = sample.dtype,
                                                      .label = sample.label,
                                                      .owner = nullptr,
                                                      .finite = sample.finite},
                                           .offset = offset,
                                           .bytes = sample.bytes.size()});
  ++state_.in_file;
  state_.file_bytes += bytes;
}

/// Fails only where the disk does; the sample is then decoded again.
bool DecodedCache::read_back(const Kept& kept, Sample& sample) const {
  const auto bytes = std::make_shared<std::vector<std::byte>>(kept.bytes);
  const int error = posix::transfer(bytes->size(), [&](std::size_t done, std::size_t count) {
    return ::pread(file_, bytes->data() + done, count, kept.offset + static_cast<off_t>(done));
  });
  if (error != 0) {
    const std::lock_guard lock(mutex_);
    state_.file_problem = system_reason(error == posix::end_of_file ? EIO : error).substr(2);
    return false;
  }
  sample = kept.sample;
  sample.bytes = *bytes;
  sample.owner = bytes;
  return true;
}

}  // namespace simclr::data
