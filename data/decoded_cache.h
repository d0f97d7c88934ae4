#pragma once

#include <simclr/core/world.h>
#include <simclr/data/dataset.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace simclr::data {

class SampleStore;

struct DecodedCacheOptions {
  /// The most that is kept in memory, in bytes. Negative: half of what is free when the cache is made.
  std::int64_t memory_bytes = -1;
  /// Where what does not fit is kept in a temporary file, which is gone when the program ends, however it ends. Empty:
  /// what does not fit is decoded again each time.
  std::string spill_folder = {};
};

/// A data set whose samples are decoded once. The first call for a sample asks the wrapped set and keeps what it gives,
/// the very bytes; later calls are served from memory or from the file. Samples without an owner lie in memory already
/// and are passed on; errors are passed on, and the next call tries again. Files that change meanwhile are not noticed.
class SIMCLR_API DecodedCache final : public Dataset {
 public:
  /// Throws Error where no file can be made in the spill folder.
  explicit DecodedCache(std::shared_ptr<const Dataset> samples, const DecodedCacheOptions& options = {});
  ~DecodedCache() override;
  DecodedCache(const DecodedCache&) = delete;
  DecodedCache& operator=(const DecodedCache&) = delete;

  /// Lets the ranks of each host keep samples for one another, in the memory and the file that its local rank 0 was to
  /// have: each sample is decoded once for all of them. All ranks call it, with a cache of the same samples, before the
  /// first is asked for. Where one rank cannot open what another has, as in containers that do not see each other's
  /// processes, each keeps what it decodes itself, in its part of the memory, and state() says why.
  void share(World& world);

  std::int64_t size() const override;
  Sample sample(std::int64_t i, int part = 0) const override;
  int parts() const override;
  std::int32_t label(std::int64_t i) const override;
  const std::vector<std::int32_t>& groups() const override;
  const std::vector<std::string>& classes() const override;
  std::string file(std::int64_t i) const override;
  std::string place(std::int64_t i) const override;
  std::string describe() const override;

  /// What is kept by now, by all that share it.
  struct State {
    std::int64_t in_memory = 0, memory_bytes = 0;  // samples, each part one, and their bytes
    std::int64_t in_file = 0, file_bytes = 0;
    bool full = false;         // some sample did not fit
    std::string file_problem;  // why the file takes no more; empty: no problem
    int ranks = 1;             // that share it
    std::string not_shared;    // why share() could not be; empty: no problem
  };
  State state() const;

 private:
  const std::shared_ptr<const Dataset> samples_;
  const std::unique_ptr<SampleStore> store_;  // the parts of a sample one behind another
};

}  // namespace simclr::data
