#pragma once

#include <simclr/core/export.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace simclr::data {

/// The ending of a file's name in lower case, ".npy"; empty where it has none.
SIMCLR_API std::string ending_of(const std::string& path);

/// Paths of files, in the order in which they were added. A folder is kept once, so that a file takes its name's bytes
/// and 13 more; a vector of strings takes a million paths 80 MB and more.
class SIMCLR_API PathList {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string*;
    using reference = std::string;
    std::string operator*() const { return (*list_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) { return {list_, at_++}; }
    bool operator==(const Iterator&) const = default;

   private:
    friend class PathList;
    Iterator(const PathList* list, std::size_t at) : list_(list), at_(at) {}
    const PathList* list_;
    std::size_t at_;
  };

  PathList() = default;
  PathList(const std::vector<std::string>& paths);

  void push_back(std::string_view path);

  std::size_t size() const { return names_.size(); }
  bool empty() const { return names_.empty(); }
  /// Path `i`, which must be less than size().
  std::string operator[](std::size_t i) const;
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }
  bool operator==(const std::vector<std::string>& paths) const;

 private:
  std::uint32_t number_of(std::string_view folder);

  std::vector<std::string> folders_;                             // each with its slash; of the current folder ""
  std::unordered_multimap<std::size_t, std::uint32_t> numbers_;  // in folders_, by the hash of the folder
  std::vector<std::uint32_t> folder_of_;                         // of each file
  std::vector<std::uint64_t> names_;                             // where each begins in texts_; a zero byte ends it
  std::string texts_;
};

}  // namespace simclr::data
