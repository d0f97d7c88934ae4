#pragma once

#include <simclr/core/random.h>

#include <cstdint>
#include <string>
#include <vector>

namespace simclr::test {

/// Sentence `i` of a seed: nine words, two of three of which are its class's, i % 2, the others anybody's.
inline std::string sentence(std::uint32_t i, std::uint64_t seed) {
  const Random random(seed, RandomPurpose::user, i);
  std::string text;
  for (std::uint32_t k = 0; k < 9; ++k) {
    const bool own = random.uniform(2 * k) < 0.67f;
    const std::string kind = !own ? "any" : i % 2 == 0 ? "even" : "odd";
    text += (k > 0 ? " " : "") + kind + std::to_string(random.below(15, 2 * k + 1)) + (k == 4 ? " ," : "");
  }
  return text + " .";
}

/// A table of such sentences, with a header and the columns label and text.
inline std::string table_of_sentences(std::uint32_t count, std::uint64_t seed) {
  std::string table = "label\ttext\n";
  for (std::uint32_t i = 0; i < count; ++i) {
    table += std::string(i % 2 == 0 ? "even" : "odd") + "\t" + sentence(i, seed) + "\n";
  }
  return table;
}

}  // namespace simclr::test
