#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// Something about a run that looks wrong, and what to do about it.
struct Finding {
  std::string about;      // "stem", "learning rate", ...
  std::string problem;    // one sentence
  std::string remedy;     // options to try
  bool unusable = false;  // what is trained on is no use: what comes of it is not to be judged
};

using Findings = std::vector<Finding>;

/// Samples that were looked at and cannot be read.
struct Unread {
  std::int64_t count = 0;
  std::string first = {};  // why, with its name

  void add(const std::string& why) {
    if (count++ == 0) first = why;
  }
};

/// Adds a finding where there is a single one: a run would put other samples in their places. `read`: how many could be
/// read; `sample`: what one is called, "recording".
void find_unread(const Unread& unread, std::int64_t read, const std::string& sample, Findings& findings);
