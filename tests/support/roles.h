#pragma once

#include <string>
#include <vector>

namespace simclr::test {

/// A line of CoNLL-U Plus: the word's number, the word, eight fields that say nothing, a sense, and roles.
inline std::string role_line(int number, const std::string& word, const std::string& sense,
                             const std::vector<std::string>& roles) {
  std::string line = std::to_string(number) + "\t" + word;
  for (int field = 3; field <= 10; ++field) line += "\t_";
  line += "\t" + sense;
  for (const std::string& role : roles) line += "\t" + role;
  return line + "\n";
}

}  // namespace simclr::test
