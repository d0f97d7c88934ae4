#pragma once

#include <string>
#include <vector>

/// What a mistyped word was meant to be: of `names` the one with the fewest edits (insert, remove, replace a letter),
/// the first of equal ones; empty where each needs more than about half the word's letters. "-" is as good as "_", and
/// what stands before a name's last dot does not count.
std::string nearest_name(std::string word, const std::vector<std::string>& names);
