#include "sound_fields.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>

namespace simclr::data {
namespace {

std::string without_ending(const std::string& path) {
  const std::string ending = ending_of(path);
  const bool of_sound = is_sound_name(path) || !missing_sound_package(ending).empty();
  return of_sound ? path.substr(0, path.size() - ending.size()) : path;
}

}  // namespace

NamePattern::NamePattern(const std::string& text) {
  parse(without_ending(text));
  SIMCLR_CHECK(!names_.empty(), "the pattern ", printable(text),
               " names no field; write {label}_{speaker}_{take}.wav or the like");
  for (std::size_t i = 0; i + 1 < steps_.size(); ++i) {
    SIMCLR_CHECK(!steps_[i].behind.empty(), "the pattern ", printable(text), " does not say where {", steps_[i].name,
                 "} ends; put a text between two fields");
  }
  std::vector<std::string> sorted = names_;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  SIMCLR_CHECK(twice == sorted.end(), "the pattern ", printable(text), " names {", *twice, "} twice");
  folders_ = static_cast<std::size_t>(std::count(text.begin(), text.end(), '/'));
}

void NamePattern::parse(const std::string& text) {
  std::string* literal = &front_;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '{') {
      *literal += text[at++];
      continue;
    }
    const std::size_t end = text.find('}', at);
    SIMCLR_CHECK(end != std::string::npos, "the pattern ", printable(text), " opens a { that it does not close");
    steps_.push_back({.name = text.substr(at + 1, end - at - 1), .behind = {}});
    if (!steps_.back().name.empty()) names_.push_back(steps_.back().name);
    literal = &steps_.back().behind;
    at = end + 1;
  }
}

std::optional<std::vector<std::string>> NamePattern::match(const std::string& path) const {
  std::size_t at = path.size();
  for (std::size_t i = 0; i <= folders_; ++i) {  // to the first of the folders that count
    if (at == 0) return std::nullopt;
    at = path.rfind('/', at - 1);
    if (at == std::string::npos) {
      if (i < folders_) return std::nullopt;
      break;
    }
  }
  const std::string name = without_ending(at == std::string::npos ? path : path.substr(at + 1));
  if (!name.starts_with(front_)) return std::nullopt;
  at = front_.size();
  std::vector<std::string> values;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto& [field, behind] = steps_[i];
    std::size_t end = name.size() - std::min(name.size(), behind.size());
    if (i + 1 < steps_.size()) {
      end = name.find(behind, at);
      if (end == std::string::npos) return std::nullopt;
    } else if (!name.ends_with(behind)) {
      return std::nullopt;
    }
    if (end <= at) return std::nullopt;
    if (!field.empty()) values.push_back(name.substr(at, end - at));
    at = end + behind.size();
  }
  return values;
}

}  // namespace simclr::data
