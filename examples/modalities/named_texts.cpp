#include "modalities/named_texts.h"

#include "modalities/text_sets.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>

#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace data = simclr::data;

namespace {

class NamedTexts final : public data::Dataset {
 public:
  explicit NamedTexts(std::shared_ptr<const data::Dataset> texts) : texts_(std::move(texts)) {
    for (std::int64_t i = 0; i < texts_->size(); ++i) {
      std::string name(data::text_of(texts_->sample(i)));
      for (char& c : name) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
      }
      names_.push_back(std::move(name));
    }
  }
  std::int64_t size() const override { return texts_->size(); }
  data::Sample sample(std::int64_t i, int part) const override {
    data::Sample sample = texts_->sample(i, part);
    sample.label = label(i);
    return sample;
  }
  std::int32_t label(std::int64_t i) const override {
    SIMCLR_CHECK(i >= 0 && i < size(), "text ", i, " of ", size());
    return static_cast<std::int32_t>(i);
  }
  const std::vector<std::string>& classes() const override { return names_; }
  std::string place(std::int64_t i) const override { return texts_->place(i); }
  std::string describe() const override { return texts_->describe(); }

 private:
  std::shared_ptr<const data::Dataset> texts_;
  std::vector<std::string> names_;
};

}  // namespace

std::shared_ptr<const data::Dataset> named_texts(const std::string& path,
                                                 const std::function<void(const std::string&)>& on_warning) {
  auto texts = std::make_shared<data::TextList>(read_text_file(path));
  for (const std::string& warning : texts->warnings) on_warning(warning);
  return std::make_shared<NamedTexts>(data::text_dataset(std::move(texts)));
}

data::Sample query_text(const std::string& words_or_file) {
  std::error_code error;
  auto text = std::make_shared<std::string>(words_or_file);
  if (std::filesystem::is_regular_file(words_or_file, error)) *text = std::string(read_text_file(words_or_file)[0]);
  SIMCLR_CHECK(text->find_first_not_of(" \t\n") != std::string::npos && simclr::is_utf8(*text),
               simclr::printable(words_or_file), ": give a text, or a file that holds one");
  return {.bytes = std::as_bytes(std::span(*text)), .shape = {std::ssize(*text)}, .owner = text};
}
