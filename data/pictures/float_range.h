#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace simclr::data {

/// What the values of floating-point pictures, or of samples by another name, fill: black is 0 and white 1.
class SIMCLR_API FloatRange {
 public:
  static constexpr double much = 0.01;  // a share outside that is worth a word

  FloatRange() = default;  // of pictures
  explicit FloatRange(std::string sample) : sample_(std::move(sample)) {}

  /// A picture's values, or some of a clip's, all of them finite.
  void add(std::span<const float> values);

  double outside() const;      // the share that lies outside of [0,1]
  std::string text() const;    // "the pictures' floating-point values go from 0 to 255"
  std::string remedy() const;  // "save x / 255"
  /// Both in a line, with the count of samples; empty where not much lies outside.
  std::string warning() const;

 private:
  std::string sample_ = "picture";  // what one is called
  float low_ = 1, high_ = 0;
  std::int64_t samples_ = 0, values_ = 0, outside_ = 0;
};

}  // namespace simclr::data
