#include "file.h"
#include "sample_store.h"

#include <simclr/core/error.h>
#include <simclr/data/decoded_cache.h>
#include <simclr/data/free_memory.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace simclr::data {
namespace {

/// A file without a name: it is gone when it is closed, also by a crash. None where `folder` is empty.
Descriptor temporary_file(const std::string& folder) {
  if (folder.empty()) return Descriptor();
  std::string path = folder + "/simclr-decoded-XXXXXX";
  Descriptor file(::mkostemp(path.data(), O_CLOEXEC));
  SIMCLR_CHECK(file.is_open(), "decoded cache: cannot make a file in ", folder, system_reason(errno),
               "; give a folder that exists and is writable");
  ::unlink(path.c_str());
  return file;
}

}  // namespace

DecodedCache::DecodedCache(std::shared_ptr<const Dataset> samples, const DecodedCacheOptions& options)
    : samples_(std::move(samples)),
      store_(std::make_unique<SampleStore>(samples_->size() * samples_->parts(),
                                           options.memory_bytes < 0 ? free_memory() / 2 : options.memory_bytes,
                                           temporary_file(options.spill_folder))) {}

DecodedCache::~DecodedCache() = default;

void DecodedCache::share(World& world) {
  store_->share(world);
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
  const std::int64_t number = i * parts() + part;
  Sample sample;
  if (store_->find(number, sample)) return sample;
  sample = samples_->sample(i, part);
  if (sample.owner) store_->keep(number, sample);
  return sample;
}

DecodedCache::State DecodedCache::state() const {
  return store_->state();
}

}  // namespace simclr::data
