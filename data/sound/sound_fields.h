#pragma once

// Private: how fields are made from what each recording says.

#include <simclr/data/sound/sound_list.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace simclr::data {

/// The field of that name whose values are these texts, one a recording; empty: none.
SoundField make_field(std::string name, const std::vector<std::string>& texts);

/// A pattern as list_sounds() takes it.
class NamePattern {
 public:
  /// Throws Error for one that cannot be meant.
  explicit NamePattern(const std::string& text);

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

  std::string front_;  // text before the first field
  std::vector<Step> steps_;
  std::vector<std::string> names_;
  std::size_t folders_ = 0;  // how many the pattern names
};

}  // namespace simclr::data
