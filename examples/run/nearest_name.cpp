#include "run/nearest_name.h"

#include <algorithm>
#include <utility>

namespace {

std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string word, const std::vector<std::string>& names) {
  std::replace(word.begin(), word.end(), '-', '_');
  std::size_t fewest = std::string::npos;
  std::string nearest;
  for (const std::string& name : names) {
    std::string own = name.substr(name.rfind('.') + 1);
    std::replace(own.begin(), own.end(), '-', '_');
    const std::size_t edits = distance(word, own);
    // Half of a short word may be another's letters by chance, but hardly the first one, too.
    const std::size_t most = word.substr(0, 1) == own.substr(0, 1) ? (word.size() + 1) / 2 : word.size() / 3;
    if (edits > most || edits >= fewest) continue;
    nearest = name;
    fewest = edits;
  }
  return nearest;
}
