#include "name_pattern.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace simclr::data {

NamePattern::NamePattern(const std::string& text, IsSample is_sample) : is_sample_(std::move(is_sample)) {
  const std::string begin = without_ending(text);
  parse(begin);
  SIMCLR_CHECK(!names_.empty(), "the pattern ", printable(text), " names no field; write {label}_{take}",
               printable(text.substr(begin.size())), " or the like");
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

std::string NamePattern::without_ending(const std::string& path) const {
  return is_sample_(path) ? path.substr(0, path.size() - ending_of(path).size()) : path;
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

std::vector<Field> fields_by_folder(const PathList& files, const FieldOwner& owner) {
  std::vector<std::string> labels;
  std::int64_t flat = 0;
  for (const std::string& file : files) {
    const std::size_t slash = file.find('/');
    labels.push_back(slash == std::string::npos ? "" : file.substr(0, slash));
    flat += slash == std::string::npos ? 1 : 0;
  }
  if (flat == std::ssize(labels)) return {};
  SIMCLR_CHECK(flat == 0, printable(owner.place), " holds both ", counted(flat, owner.sample), " and folders with ",
               owner.sample, "s; keep either one folder a class or ", owner.sample, "s alone");
  return {make_field("label", labels)};
}

FittingFiles fields_by_pattern(const PathList& files, const NamePattern& pattern, const std::string& text,
                               const FieldOwner& owner) {
  constexpr std::int64_t most_named = 3;
  FittingFiles named;
  std::vector<std::vector<std::string>> texts(pattern.names().size());
  std::int64_t others = 0;
  for (const std::string& file : files) {
    const auto values = pattern.match(file);
    if (values) {
      named.files.push_back(file);
      for (std::size_t i = 0; i < texts.size(); ++i) texts[i].push_back((*values)[i]);
    } else if (++others <= most_named) {
      named.warnings.push_back(printable((std::filesystem::path(owner.place) / file).string()) + " does not fit " +
                               printable(text) + " (" + owner.sample + " left out)");
    }
  }
  SIMCLR_CHECK(!named.files.empty(), printable(owner.place), ": no name of ", counted(others, owner.sample), " fits ",
               printable(text), ": ", printable(files[0]));
  if (others > 0) named.left_out = counted(others, owner.sample) + " whose names do not fit " + printable(text);
  for (std::size_t i = 0; i < texts.size(); ++i) named.fields.push_back(make_field(pattern.names()[i], texts[i]));
  return named;
}

}  // namespace simclr::data
