#pragma once

#include <simclr/core/tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Data sets, and what turns them into batches of views. A sample is values of one type in a shape: a
/// recording, the words of a sentence.
namespace simclr::data {

/// Which part of a data set that is published in two parts.
enum class Split : std::uint8_t { train, test };

/// "train" or "test".
SIMCLR_API const char* name(Split split);

/// One sample, or one part of it.
struct Sample {
  std::span<const std::byte> bytes;  // shape.numel() values of `dtype`, aligned to their size
  Shape shape;
  DType dtype = DType::u8;
  std::int32_t label = -1;            // index into Dataset::classes(); -1: none
  std::shared_ptr<const void> owner;  // keeps `bytes` alive where they were decoded for this call; else null
  std::string_view warning = {};      // of a sample that can be used, but not without a word; lives as long as `bytes`
  bool finite = false;                // f32: whoever read it has looked for values that are NaN or infinite: none is

  /// The values. Throws Error where T is not the sample's dtype.
  template <class T>
  std::span<const T> values() const {
    SIMCLR_CHECK(dtype == dtype_of<T>, "sample: holds ", dtype, " values, not ", dtype_of<T>);
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

/// A fixed, ordered set of samples. Every member is safe to call from several threads at once.
class SIMCLR_API Dataset {
 public:
  virtual ~Dataset();

  virtual std::int64_t size() const = 0;
  /// Part `part` of sample `i`. Where it has no owner, its bytes live as long as the data set. Throws Error, naming the
  /// file, for a sample that cannot be read, and for an index outside [0, size).
  virtual Sample sample(std::int64_t i, int part = 0) const = 0;
  /// Of how many parts each sample is: 1, or 2 for pairs, a recording and its text say. Data sets of one part need not
  /// look at sample()'s `part`.
  virtual int parts() const;
  /// The label of sample `i` without reading it; -1: none.
  virtual std::int32_t label(std::int64_t i) const = 0;
  /// Of each sample a group, at least 0; empty: each is its own. What is of one group belongs together as two views of
  /// one sample do: several captions of one recording, say, each a sample of two parts.
  virtual const std::vector<std::int32_t>& groups() const;
  /// The names of the classes; empty for an unlabelled set.
  virtual const std::vector<std::string>& classes() const = 0;
  /// The file that sample `i` alone is read from; empty where there is none.
  virtual std::string file(std::int64_t i) const;
  /// Where sample `i` lies, for messages: its file, or the file that holds it among others and its name there; empty
  /// where it has but a number.
  virtual std::string place(std::int64_t i) const;
  /// One line: what it is, how many samples, from where.
  virtual std::string describe() const = 0;
};

/// Samples of one shape in memory: what memory_dataset() serves.
struct MemoryData {
  Tensor samples;                    // [N,...] of any dtype, on the CPU
  std::vector<std::int32_t> labels;  // [N]
  std::vector<std::string> classes;
  std::string description;
};

/// Serves samples that are already in memory. Throws Error unless the sizes agree and each label is -1 or names
/// a class.
SIMCLR_API std::unique_ptr<Dataset> memory_dataset(MemoryData data);

}  // namespace simclr::data
