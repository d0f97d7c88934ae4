#pragma once

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace simclr::data {

struct TfidfOptions {
  std::int64_t features = 8192;  // at most: the runs of words that most texts have, of equal ones those whose bytes
                                 // come first
  int longest = 2;               // words of such a run
};

/// Term frequencies times inverse document frequencies, what texts were told apart by before encoders were, and still
/// are: for each run of up to `longest` words its count in the text times log((1 + N) / (1 + n)) + 1, n of N texts
/// having it; rows have length 1. Words as tokenizer.h has them.
class SIMCLR_API Tfidf {
 public:
  /// Learns which runs there are from these texts. Throws Error where there is no word, and for options that are not
  /// positive.
  explicit Tfidf(const Dataset& texts, const TfidfOptions& options = {});
  /// [N,F] f32 on the CPU. A text without a run that is known is 0.
  Tensor features(const Dataset& texts) const;
  /// F.
  std::int64_t size() const { return static_cast<std::int64_t>(weights_.size()); }

 private:
  int longest_;
  std::unordered_map<std::string, std::int64_t> columns_;
  std::vector<float> weights_;  // of each column
};

}  // namespace simclr::data
