#pragma once

// What is said to the words of a command line.

#include "run/option_line.h"
#include "support/message_of.h"

#include <functional>
#include <string>
#include <vector>

namespace simclr::test {

/// What the Error says that `call` throws; empty: it throws none.
inline std::string complaint(const std::function<void()>& call) {
  const std::string message = message_of(call);
  return message == "no error" ? "" : message;
}

/// What the program says to these words; empty: it takes them.
inline std::string read_words(OptionTable& table, std::vector<std::string> words) {
  CLI::App app("", "program");
  words.insert(words.begin(), "program");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return complaint([&] { parse(app, table, static_cast<int>(argv.size()), argv.data()); });
}

}  // namespace simclr::test
