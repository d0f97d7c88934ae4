#pragma once

// Private: the arrays of a shard's index while it is made.

#include "shard_index.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace simclr::data {

/// What an index's spans show.
struct ShardArrays {
  std::vector<ShardIndex::Member> members;
  std::vector<ShardIndex::Sample> samples;
  std::vector<std::uint32_t> endings, spellings, labels;
  std::vector<char> texts;

  std::uint32_t add_text(std::string_view text) {
    const std::size_t at = texts.size();
    SIMCLR_CHECK(at + text.size() < ShardIndex::none, "its names take more than 4 GiB; make smaller shards");
    texts.insert(texts.end(), text.begin(), text.end());
    texts.push_back('\0');
    return static_cast<std::uint32_t>(at);
  }
};

/// Texts of which each is kept once.
class ShardTexts {
 public:
  ShardTexts(ShardArrays& arrays, std::vector<std::uint32_t>& list) : arrays_(arrays), list_(list) {}

  std::uint32_t number_of(const std::string& text) {
    const auto [found, is_new] = numbers_.try_emplace(text, static_cast<std::uint32_t>(list_.size()));
    if (is_new) list_.push_back(arrays_.add_text(text));
    return found->second;
  }

 private:
  ShardArrays& arrays_;
  std::vector<std::uint32_t>& list_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

/// Finds a sample by its key: open addressing over the samples' numbers, so that no key is kept twice.
class ShardKeys {
 public:
  explicit ShardKeys(ShardArrays& arrays) : arrays_(arrays) {}

  std::uint32_t sample_of(std::string_view key) {
    auto& samples = arrays_.samples;
    if (!samples.empty() && key == key_of(static_cast<std::uint32_t>(samples.size() - 1))) {
      return static_cast<std::uint32_t>(samples.size() - 1);  // members of a sample mostly lie side by side
    }
    if (2 * samples.size() >= slots_.size()) grow();
    std::uint32_t& slot = slot_of(key);
    if (slot == ShardIndex::none) {
      slot = static_cast<std::uint32_t>(samples.size());
      samples.push_back({.key = arrays_.add_text(key), .first = 0, .label = ShardIndex::none});
    }
    return slot;
  }

 private:
  std::string_view key_of(std::uint32_t sample) const { return arrays_.texts.data() + arrays_.samples[sample].key; }

  std::uint32_t& slot_of(std::string_view key) {
    std::size_t at = std::hash<std::string_view>()(key) & (slots_.size() - 1);
    while (slots_[at] != ShardIndex::none && key_of(slots_[at]) != key) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }

  void grow() {
    slots_.assign(std::max<std::size_t>(1024, 2 * slots_.size()), ShardIndex::none);
    for (std::uint32_t i = 0; i < arrays_.samples.size(); ++i) slot_of(key_of(i)) = i;
  }

  ShardArrays& arrays_;
  std::vector<std::uint32_t> slots_;
};

/// Endings as they are written, "./.JPG", and in lower case, "jpg".
class ShardEndings {
 public:
  explicit ShardEndings(ShardArrays& arrays) : arrays_(arrays) {}

  std::uint32_t number_of(const std::string& spelling, std::string_view ending) {
    const std::uint32_t number = spelled_.number_of(spelling);
    if (number < same_.size()) return number;
    same_.push_back(lowered_.number_of(lower_case(ending)));
    arrays_.endings.push_back(lower_[same_.back()]);
    return number;
  }
  std::string_view ending(std::uint32_t number) const { return arrays_.texts.data() + arrays_.endings[number]; }
  /// The same number for endings that are the same in lower case.
  std::uint32_t same(std::uint32_t number) const { return same_[number]; }

 private:
  ShardArrays& arrays_;
  std::vector<std::uint32_t> lower_, same_;
  ShardTexts spelled_{arrays_, arrays_.spellings}, lowered_{arrays_, lower_};
};

}  // namespace simclr::data
