#pragma once

// Private: what the readers of tables say of rows that they leave out.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace simclr::data {

/// Warns of the first rows of a table that cannot be used, and counts the others.
class RowWarnings {
 public:
  explicit RowWarnings(std::string table) : table_(std::move(table)) {}

  /// "has no path", of the row that begins there.
  void add(std::int64_t line, const std::string& problem);
  /// "line 3 has no path", of the first; empty: there is none.
  const std::string& first() const { return first_; }
  /// A line each of the first three, and one of how many more there are.
  std::vector<std::string> lines() const;

 private:
  std::string table_, first_;
  std::vector<std::string> named_;
  std::int64_t count_ = 0;
};

}  // namespace simclr::data
