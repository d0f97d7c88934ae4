#pragma once

#include "run/run_log.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

/// A run's scalars for TensorBoard. The file holds nothing that log.jsonl does not: it can always be made again.
///
/// Records are: u64 length, masked CRC-32C of it, data, masked CRC-32C of that; the data are `Event` messages of
/// tensorflow/core/util/event.proto, the first of which says "brain.Event:2".
class EventFile {
 public:
  /// Writes the scalars of `entries`, a log so far, to events.out.tfevents.<time>.simclr in `folder`. A file of that
  /// kind which is there already is replaced, as a whole and under its own name, so that TensorBoard shows no step
  /// twice after a run is resumed. Throws simclr::Error when it cannot be written.
  EventFile(const std::string& folder, const std::vector<LogEntry>& entries);

  /// Adds the scalars of the log's next entry. Throws simclr::Error when the disk is full.
  void append(const LogEntry& entry);

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::ofstream file_;
  std::int64_t steps_ = 0;  // training steps so far: TensorBoard's horizontal axis
};

/// Whether a file's name is what an EventFile has.
bool is_event_file(const std::string& name);

/// Writes a whole event file with the scalars of `entries`, atomically. Returns how many training steps they hold.
std::int64_t write_event_file(const std::string& path, const std::vector<LogEntry>& entries);

/// One number of an entry, as TensorBoard names it.
struct Scalar {
  std::string tag;
  double value = 0;
};

/// What TensorBoard is shown of an entry: loss and learning rate of a step; samples a second and the mean loss of an
/// epoch; kNN accuracy, effective rank, alignment, uniformity and two towers' retrieval while training; accuracies, and
/// averages over the classes, of the evaluation, the untrained encoder's under untrained/, and all numbers of its
/// retrieval and zero-shot classification.
std::vector<Scalar> scalars_of(const LogEntry& entry);

/// CRC-32C (Castagnoli; RFC 3720, section 12.1).
std::uint32_t crc32c(std::string_view bytes);
