#include "modalities/named_texts.h"

#include "modalities/text_sets.h"
#include "train/embedding.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>

#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace data = simclr::data;

std::shared_ptr<const data::Dataset> named_texts(const std::string& path,
                                                 const std::function<void(const std::string&)>& on_warning) {
  auto texts = std::make_shared<data::TextList>(read_text_file(path));
  for (const std::string& warning : texts->warnings) on_warning(warning);
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < texts->size(); ++i) {
    std::string& name = names.emplace_back((*texts)[i]);
    for (char& c : name) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
  }
  return with_names(data::text_dataset(std::move(texts)), std::move(names), {}).samples;
}

data::Sample query_text(const std::string& words_or_file) {
  std::error_code error;
  auto text = std::make_shared<std::string>(words_or_file);
  if (std::filesystem::is_regular_file(words_or_file, error)) *text = std::string(read_text_file(words_or_file)[0]);
  SIMCLR_CHECK(text->find_first_not_of(" \t\n") != std::string::npos && simclr::is_utf8(*text),
               simclr::printable(words_or_file), ": give a text, or a file that holds one");
  return {.bytes = std::as_bytes(std::span(*text)), .shape = {std::ssize(*text)}, .owner = text};
}
