#pragma once

// Private: lists of files that are samples, of a folder, and data sets of such lists.

#include "field_table.h"

#include <simclr/data/dataset.h>
#include <simclr/data/field_list.h>

#include <functional>
#include <string>
#include <vector>

namespace simclr::data {

/// The samples of a folder and of all folders below it. `take` is given the folder's files and moves those that are
/// samples into the list; it returns the others, of which the list counts what is left out. By `pattern`
/// (name_pattern.h), or where it is empty by the folders right below `dir`. Throws Error where there is none.
using TakeSamples = std::function<std::vector<std::string>(const PathList& files, FieldList& list)>;
FieldList list_folder(const std::string& dir, const std::string& pattern, const FieldTableKind& kind,
                      const TakeSamples& take);

/// Samples of a list, but for what one of them is.
class ListedSamples : public Dataset {
 public:
  /// Throws Error for a list without samples. `how`: of the description, ", at 8000 Hz".
  explicit ListedSamples(FieldList list, const std::string& how = {});

  std::int64_t size() const override { return static_cast<std::int64_t>(list_.size()); }
  std::int32_t label(std::int64_t i) const override;
  const std::vector<std::string>& classes() const override { return label_.values; }
  std::string describe() const override { return description_; }
  std::string file(std::int64_t i) const override;
  std::string place(std::int64_t i) const override;

 protected:
  const FieldList& list() const { return list_; }

 private:
  FieldList list_;
  Field label_;
  std::string description_;
};

}  // namespace simclr::data
