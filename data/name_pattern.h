#pragma once

// Private: what the names of files and folders say of samples.

#include <simclr/data/fields.h>
#include <simclr/data/path_list.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace simclr::data {

/// A pattern of paths, "{label}_{speaker}_{take}.wav". A field reaches to the first place where the text behind it goes
/// on, the last one to the end; "{}" is passed over. With folders in it, "{label}/{speaker}_nohash_{}.wav", it is
/// compared with as many of the path's. The ending does not count.
class NamePattern {
 public:
  /// Whether a path ends as the files do that are samples.
  using IsSample = std::function<bool(const std::string& path)>;

  /// Throws Error for one that cannot be meant.
  NamePattern(const std::string& text, IsSample is_sample);

  /// Of its fields but "{}", in their order.
  const std::vector<std::string>& names() const { return names_; }
  /// What they are in this path; nothing: it does not fit.
  std::optional<std::vector<std::string>> match(const std::string& path) const;

 private:
  struct Step {
    std::string name;    // of a field
    std::string behind;  // the text that ends it; of the last the path's end
  };
  void parse(const std::string& text);
  std::string without_ending(const std::string& path) const;

  IsSample is_sample_;
  std::string front_;  // text before the first field
  std::vector<Step> steps_;
  std::vector<std::string> names_;
  std::size_t folders_ = 0;  // how many the pattern names
};

/// The folders right below the owner's place as the field "label"; no field where all files lie in it. Throws Error for
/// files both in it and in folders below it.
std::vector<Field> fields_by_folder(const PathList& files, const FieldOwner& owner);

/// The files whose paths fit a pattern, and its fields.
struct FittingFiles {
  PathList files = {};
  std::vector<Field> fields = {};
  std::string left_out = {};               // how many do not fit; empty: all do
  std::vector<std::string> warnings = {};  // the first three of those
};
/// `text` is the pattern's own. Throws Error where no path fits it.
FittingFiles fields_by_pattern(const PathList& files, const NamePattern& pattern, const std::string& text,
                               const FieldOwner& owner);

}  // namespace simclr::data
