#include "row_warnings.h"

#include <simclr/core/text.h>

namespace simclr::data {

void RowWarnings::add(std::int64_t line, const std::string& problem) {
  constexpr std::int64_t most_named = 3;
  if (first_.empty()) first_ = "line " + std::to_string(line) + " " + printable(problem);
  if (++count_ > most_named) return;
  named_.push_back(printable(table_ + ", line " + std::to_string(line) + ": " + problem) + " (row left out)");
}

std::vector<std::string> RowWarnings::lines() const {
  std::vector<std::string> lines = named_;
  if (const std::int64_t more = count_ - std::ssize(named_); more > 0) {
    lines.push_back(printable(table_) + ": " + counted(more, "row") + " more are left out");
  }
  return lines;
}

}  // namespace simclr::data
