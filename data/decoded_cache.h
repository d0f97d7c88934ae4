#pragma once

#include <simclr/data/dataset.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace simclr::data {

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

  std::int64_t size() const override;
  Sample sample(std::int64_t i, int part = 0) const override;
  int parts() const override;
  std::int32_t label(std::int64_t i) const override;
  const std::vector<std::int32_t>& groups() const override;
  const std::vector<std::string>& classes() const override;
  std::string file(std::int64_t i) const override;
  std::string place(std::int64_t i) const override;
  std::string describe() const override;

  /// What is kept by now.
  struct State {
    std::int64_t in_memory = 0, memory_bytes = 0;  // samples, each part one, and their bytes
    std::int64_t in_file = 0, file_bytes = 0;
    bool full = false;         // some sample did not fit
    std::string file_problem;  // why the file takes no more; empty: no problem
  };
  State state() const;

 private:
  struct Kept;
  void keep(std::size_t slot, const Sample& sample) const;
  void spill(std::size_t slot, const Sample& sample) const;
  bool read_back(const Kept& kept, Sample& sample) const;

  const std::shared_ptr<const Dataset> samples_;
  const std::int64_t most_memory_;
  int file_ = -1;

  mutable std::mutex mutex_;                               // guards what follows
  mutable std::vector<std::shared_ptr<const Kept>> kept_;  // the parts of a sample one behind another
  mutable std::int64_t file_end_ = 0;
  mutable State state_;
};

}  // namespace simclr::data
