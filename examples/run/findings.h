#pragma once

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
