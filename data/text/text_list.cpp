#include "../class_names.h"
#include "line_reader.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <set>
#include <span>
#include <utility>

namespace simclr::data {

std::string wrong_with_text(std::string_view words) {
  if (trimmed(words).empty()) return "has no text";
  if (!is_utf8(words)) return "has a text that is not in UTF-8";
  if (words.find('\0') != std::string_view::npos) return "has a text with a byte 0";
  const std::optional<UnusableLine> problem = too_long(std::ssize(words));
  return problem ? problem->why : "";
}

std::string_view TextList::operator[](std::int64_t i) const {
  const auto at = static_cast<std::size_t>(i);
  const std::uint64_t begin = at == 0 ? 0 : ends_[at - 1];
  return std::string_view(bytes_).substr(begin, ends_[at] - begin);
}

std::string TextList::place(std::int64_t i) const {
  const auto behind = std::upper_bound(begins_.begin(), begins_.end(), static_cast<std::uint64_t>(i));
  return files_[static_cast<std::size_t>(behind - begins_.begin()) - 1] + ", line " +
         std::to_string(lines_[static_cast<std::size_t>(i)]);
}

std::int32_t TextList::class_of(const std::string& label) {
  if (label.empty()) return -1;
  const auto [found, added] = class_numbers_.emplace(label, static_cast<std::int32_t>(classes_.size()));
  if (added) classes_.push_back(label);
  return found->second;
}

void TextList::add(std::string_view text, std::int64_t line, const std::string& label) {
  if (files_.empty() || files_.back() != source_) {
    files_.push_back(source_);
    begins_.push_back(ends_.size());
  }
  bytes_ += text;
  ends_.push_back(bytes_.size());
  lines_.push_back(line);
  labels_.push_back(class_of(label));
}

void TextList::append(const TextList& other, bool labels) {
  for (std::size_t f = 0; f < other.files_.size(); ++f) {
    files_.push_back(other.files_[f]);
    begins_.push_back(ends_.size() + other.begins_[f]);
  }
  const std::uint64_t before = bytes_.size();
  bytes_ += other.bytes_;
  for (const std::uint64_t end : other.ends_) ends_.push_back(before + end);
  lines_.insert(lines_.end(), other.lines_.begin(), other.lines_.end());
  for (const std::int32_t label : other.labels_) {
    labels_.push_back(labels && label >= 0 ? class_of(other.classes_[static_cast<std::size_t>(label)]) : -1);
  }
  take_losses(other);
}

void TextList::take_losses(const TextList& other) {
  warnings.insert(warnings.end(), other.warnings.begin(), other.warnings.end());
  for (const auto& [kind, count] : other.left_out) left_out[kind] += count;
}

TextList TextList::selected(const std::vector<std::int64_t>& which) const {
  TextList some(source_);
  some.classes_ = classes_;
  some.class_numbers_ = class_numbers_;
  for (const std::int64_t i : which) {
    const auto behind = std::upper_bound(begins_.begin(), begins_.end(), static_cast<std::uint64_t>(i));
    const std::string& file = files_[static_cast<std::size_t>(behind - begins_.begin()) - 1];
    if (some.files_.empty() || some.files_.back() != file) {
      some.files_.push_back(file);
      some.begins_.push_back(some.ends_.size());
    }
    some.bytes_ += (*this)[i];
    some.ends_.push_back(some.bytes_.size());
    some.lines_.push_back(lines_[static_cast<std::size_t>(i)]);
    some.labels_.push_back(label(i));
  }
  return some;
}

void TextList::sort_classes() {
  const std::vector<std::string> sorted = sorted_classes({classes_.begin(), classes_.end()});
  std::map<std::string, std::int32_t> numbers;
  for (const std::string& name : sorted) numbers.emplace(name, static_cast<std::int32_t>(numbers.size()));
  for (std::int32_t& label : labels_) {
    if (label >= 0) label = numbers.at(classes_[static_cast<std::size_t>(label)]);
  }
  classes_ = sorted;
  class_numbers_ = std::move(numbers);
}

void TextList::leave_out(std::int64_t line, const std::string& kind, const std::string& problem) {
  constexpr std::int64_t most_named = 3;
  ++left_out[kind];
  if (++named_ > most_named) return;
  warnings.push_back(printable(source_ + ", line " + std::to_string(line) + ": " + problem) + " (left out)");
}

std::string TextList::left_out_text() const {
  std::string text;
  for (const auto& [kind, count] : left_out) text += (text.empty() ? "" : ", ") + counted(count, "line") + " " + kind;
  return text;
}

namespace {

class Texts final : public Dataset {
 public:
  explicit Texts(std::shared_ptr<const TextList> texts) : texts_(std::move(texts)) {
    const std::string left_out = texts_->left_out_text();
    description_ = counted(size(), "text") + " of " + printable(texts_->source()) + ", " +
                   (classes().empty() ? "unlabelled" : counted(std::ssize(classes()), "class", "es")) +
                   (left_out.empty() ? "" : " (left out: " + left_out + ")");
  }

  std::int64_t size() const override { return texts_->size(); }

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const std::string_view text = (*texts_)[i];
    return {
        .bytes = std::as_bytes(std::span(text)), .shape = {std::ssize(text)}, .label = sample_label, .owner = nullptr};
  }

  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "text_dataset: text ", i, " of ", size());
    return texts_->label(i);
  }

  const std::vector<std::string>& classes() const override { return texts_->classes(); }
  std::string place(std::int64_t i) const override { return texts_->place(i); }
  std::string describe() const override { return description_; }

 private:
  std::shared_ptr<const TextList> texts_;
  std::string description_;
};

}  // namespace

std::shared_ptr<const Dataset> text_dataset(std::shared_ptr<const TextList> texts) {
  SIMCLR_CHECK(texts && texts->size() > 0, "text_dataset: ", texts ? printable(texts->source()) : "no list",
               " has no texts");
  return std::make_shared<Texts>(std::move(texts));
}

std::string_view text_of(const Sample& sample) {
  SIMCLR_CHECK(sample.dtype == DType::u8 && sample.shape.rank() == 1, "text: a sample of shape ", sample.shape, ", ",
               sample.dtype, "; u8 [bytes] is needed");
  return {reinterpret_cast<const char*>(sample.bytes.data()), sample.bytes.size()};
}

std::uint64_t digest_of_text(std::string_view text) {
  Crc64 digest;
  bool any = false;
  std::string word;
  const auto take = [&] {
    if (word.empty()) return;
    any = true;
    word += ' ';
    digest.update(word.data(), word.size());
    word.clear();
  };
  for (const char c : lower_case(text)) {
    const bool inside = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (inside) {
      word += c;
    } else {
      take();
    }
  }
  take();
  if (!any) digest.update(text.data(), text.size());
  return digest.value();
}

bool is_test_text(std::uint64_t digest) {
  return Random(0, RandomPurpose::subset, static_cast<std::uint32_t>(digest), static_cast<std::uint32_t>(digest >> 32))
             .below(5, 0) == 0;
}

}  // namespace simclr::data
