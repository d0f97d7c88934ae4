#pragma once

// Private: the different texts of a column.

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace simclr::data {

/// Each text once, by numbers in the order in which they came; those of one `key` as the first of them is written.
class NumberedTexts {
 public:
  std::int32_t number(const std::string& text) { return number(text, text); }
  std::int32_t number(const std::string& text, const std::string& key) {
    const auto [found, is_new] = numbers_.emplace(key, static_cast<std::int32_t>(texts_.size()));
    if (is_new) texts_.push_back(text);
    return found->second;
  }

  const std::vector<std::string>& all() const { return texts_; }
  std::vector<std::string> take() { return std::move(texts_); }

 private:
  std::unordered_map<std::string, std::int32_t> numbers_;
  std::vector<std::string> texts_;
};

}  // namespace simclr::data
