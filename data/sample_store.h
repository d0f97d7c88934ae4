#pragma once

// Private to the cache of decoded samples: where they lie.

#include "host_files.h"

#include <simclr/core/world.h>
#include <simclr/data/dataset.h>
#include <simclr/data/decoded_cache.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::data {

/// Keeps samples by number: in memory, then in a file. Threads, and where it is shared processes, keep and find them
/// without waiting for each other: whoever takes a number first writes its sample, and the others find it once it is
/// written as a whole. Where it never is, since it did not fit or the process was killed, it counts as not kept.
class SampleStore {
 public:
  /// For the numbers [0, size). At most `most_memory` bytes, and where `file` is open the rest in it.
  SampleStore(std::int64_t size, std::int64_t most_memory, Descriptor file);

  /// As DecodedCache::share().
  void share(World& world);

  /// Puts sample `i` into `sample`; false: it is not there, or the disk fails.
  bool find(std::int64_t i, Sample& sample) const;
  /// Memory of one process keeps the sample as it is, with its owner; elsewhere bytes and warning are copied.
  void keep(std::int64_t i, const Sample& sample);
  DecodedCache::State state() const;

 private:
  struct Table;
  struct Slot;
  struct Owned {
    const std::byte* bytes = nullptr;
    std::string_view warning = {};
    std::shared_ptr<const void> owner = nullptr;
  };

  Table& table() const;
  Slot& slot(std::int64_t i) const;
  bool keep_in_memory(std::int64_t i, const Sample& sample);
  bool keep_in_file(std::int64_t i, const Sample& sample);

  std::int64_t size_;
  std::int64_t table_bytes_;           // whole pages
  std::shared_ptr<std::byte> memory_;  // Table and the slots
  std::vector<Owned> owned_;           // the samples in memory, of one process
  Descriptor shared_;                  // of several: a file in memory with Table, slots and the samples,
  std::shared_ptr<std::byte> bytes_;   // and these as they are mapped
  Descriptor file_;
  int ranks_ = 1;
  std::string not_shared_;
};

}  // namespace simclr::data
