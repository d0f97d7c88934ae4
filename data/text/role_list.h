#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace simclr::data {

/// A word that something is said of, and the part that each word of its sentence has in it.
struct Predicate {
  std::int64_t word = 0;           // in RoleSentence::words
  std::vector<std::string> roles;  // of each word: "ARG0"; empty: none
};

struct RoleSentence {
  std::vector<std::string> words;
  std::vector<Predicate> predicates;
};

/// Sentences whose semantic roles are known.
struct RoleList {
  std::vector<RoleSentence> sentences;
  std::vector<std::string> warnings;             // a line for each of the first three that were left out
  std::map<std::string, std::int64_t> left_out;  // how many sentences, by what is wrong with them
};

/// Reads CoNLL-U Plus as PropBanks are published in: a word a line, fields parted by tabs, an empty line behind each
/// sentence. Field 1 is the word's number, 2 the word, 11 a predicate's sense or "_", and of the fields behind it each
/// says of one predicate, in their order, which role the word has there, or "_". Lines that begin with "#", ranges of
/// words (1-2) and words that are not there (1.1) do not count. A sentence that is not so, not in UTF-8 or has more
/// than 1000 words is left out and named. Throws Error for what is no file or cannot be opened, for UTF-16, and where
/// no sentence with a predicate is left.
SIMCLR_API RoleList read_role_list(const std::string& path);

}  // namespace simclr::data
