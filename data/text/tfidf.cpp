#include "words.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>
#include <simclr/data/text/tfidf.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace simclr::data {
namespace {

/// Calls `take` with each run of 1 to `longest` words, a blank between these.
template <class Take>
void for_each_run(std::string_view text, int longest, const Take& take) {
  const std::string lower = lower_case(text);
  std::vector<std::string_view> words;
  for_each_word(lower, [&](std::string_view word) { words.push_back(word); });
  std::string run;
  for (std::size_t i = 0; i < words.size(); ++i) {
    run.clear();
    for (std::size_t k = i; k < std::min(i + static_cast<std::size_t>(longest), words.size()); ++k) {
      if (k > i) run += ' ';
      run += words[k];
      take(run);
    }
  }
}

}  // namespace

Tfidf::Tfidf(const Dataset& texts, const TfidfOptions& options) : longest_(options.longest) {
  SIMCLR_CHECK(options.features > 0 && options.longest > 0, "tfidf: ", options.features, " features of runs of ",
               options.longest, " words; both must be positive");
  std::unordered_map<std::string, std::pair<std::int64_t, std::int64_t>> counts;  // of texts, and the last one seen
  for (std::int64_t i = 0; i < texts.size(); ++i) {
    for_each_run(text_of(texts.sample(i)), longest_, [&](const std::string& run) {
      auto& [count, last] = counts.try_emplace(run, 0, -1).first->second;
      if (last == i) return;
      ++count;
      last = i;
    });
  }
  SIMCLR_CHECK(!counts.empty(), "tfidf: there is no word in ", texts.describe());
  std::vector<std::pair<std::int64_t, std::string>> order;
  for (const auto& [run, seen] : counts) order.emplace_back(-seen.first, run);
  std::sort(order.begin(), order.end());
  if (std::ssize(order) > options.features) order.resize(static_cast<std::size_t>(options.features));
  const auto all = static_cast<double>(texts.size());
  for (const auto& [negative, run] : order) {
    columns_.emplace(run, std::ssize(weights_));
    weights_.push_back(static_cast<float>(std::log((1 + all) / (1 - static_cast<double>(negative))) + 1));
  }
}

Tensor Tfidf::features(const Dataset& texts) const {
  const std::int64_t columns = size();
  Tensor values = Tensor::zeros({texts.size(), columns});
  parallel_for(texts.size(), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = values.data<float>() + i * columns;
      for_each_run(text_of(texts.sample(i)), longest_, [&](const std::string& run) {
        const auto found = columns_.find(run);
        if (found != columns_.end()) row[found->second] += weights_[static_cast<std::size_t>(found->second)];
      });
      double squares = 0;
      for (std::int64_t c = 0; c < columns; ++c) squares += double{row[c]} * double{row[c]};
      const float scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0.0f;
      for (std::int64_t c = 0; c < columns; ++c) row[c] *= scale;
    }
  });
  return values;
}

}  // namespace simclr::data
