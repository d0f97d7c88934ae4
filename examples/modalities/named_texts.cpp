#include "modalities/named_texts.h"

#include "modalities/text_sets.h"
#include "train/embedding.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/text/text_list.h>

#include <algorithm>
#include <cstddef>
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
  for (std::int64_t i = 0; i < texts->size(); ++i) names.push_back(on_one_line(std::string((*texts)[i])));
  return with_names(data::text_dataset(std::move(texts)), std::move(names), {}).samples;
}

std::string on_one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

data::Sample text_sample(std::string words, const std::string& name, std::int32_t label) {
  const auto text = std::make_shared<std::string>(data::trimmed(words));
  const std::string wrong = data::wrong_with_text(*text);
  SIMCLR_CHECK(wrong.empty(), simclr::printable(name), ": ", wrong);
  return {.bytes = std::as_bytes(std::span(*text)), .shape = {std::ssize(*text)}, .label = label, .owner = text};
}

bool has_known_token(const data::Sample& text, const data::ViewMaker& views) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(views.view_shape()[0]));
  ids.resize(static_cast<std::size_t>(views.make_whole_view(text, {}, reinterpret_cast<std::byte*>(ids.data()))));
  return std::any_of(ids.begin(), ids.end(), [](std::int32_t id) { return id != 0; });
}

data::Sample query_text(const std::string& words_or_file) {
  std::error_code error;
  const bool file = std::filesystem::is_regular_file(words_or_file, error);
  const std::string words = file ? std::string(read_text_file(words_or_file)[0]) : words_or_file;
  SIMCLR_CHECK(file || simclr::is_utf8(words), "the text asked for is not in UTF-8; give it in UTF-8");
  SIMCLR_CHECK(!data::trimmed(words).empty(), simclr::printable(words_or_file),
               ": give a text, or a file that holds one");
  return text_sample(words, words_or_file);
}
