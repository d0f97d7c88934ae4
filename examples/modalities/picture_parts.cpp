#include "modalities/picture_parts.h"

#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

using namespace std::string_view_literals;

// The likeliest first.
constexpr std::array train_words = {"train"sv, "training"sv, "trn"sv, "labeled"sv, "labelled"sv};
constexpr std::array test_words = {"test"sv,       "testing"sv, "val"sv,        "valid"sv,
                                   "validation"sv, "eval"sv,    "evaluation"sv, "dev"sv};
constexpr std::array unlabelled_words = {"unlabeled"sv, "unlabelled"sv, "unsupervised"sv, "unsup"sv};
constexpr std::array neutral_words = {"set"sv,  "sets"sv,   "data"sv,   "dataset"sv,  "images"sv, "image"sv, "imgs"sv,
                                      "img"sv,  "split"sv,  "part"sv,   "jpg"sv,      "jpeg"sv,   "jpegs"sv, "png"sv,
                                      "pics"sv, "photos"sv, "folder"sv, "pictures"sv, "samples"sv};

template <std::size_t n>
std::size_t place(const std::array<std::string_view, n>& words, std::string_view word) {
  return static_cast<std::size_t>(std::find(words.begin(), words.end(), word) - words.begin());
}

/// Whether it is one of the words, or one with a neutral word written behind it ("trainset").
template <std::size_t n>
bool is_one_of(const std::array<std::string_view, n>& words, std::string_view word) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view known) {
    if (!word.starts_with(known)) return false;
    const std::string_view rest = word.substr(known.size());
    return rest.empty() || place(neutral_words, rest) < neutral_words.size();
  });
}

/// Its runs of letters, in lower case.
std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = std::isalpha(byte) != 0 || byte >= 0x80;
    if (letter && !inside) words.emplace_back();
    if (letter) words.back() += static_cast<char>(std::tolower(byte));
    inside = letter;
  }
  return words;
}

/// The place of a folder among those of its role: the likeliest word, then the shortest name.
template <std::size_t n>
void sort_by_likelihood(std::vector<PictureParts::Part>& parts, const std::array<std::string_view, n>& words) {
  const auto rank = [&](const PictureParts::Part& part) {
    std::size_t best = words.size();
    for (const std::string& word : words_of(part.name)) best = std::min(best, place(words, word));
    return std::pair(best, part.name.size());
  };
  std::stable_sort(parts.begin(), parts.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
}

/// Of the folder itself, not of those in it.
data::PictureList pictures_in(const std::string& dir) {
  data::PictureList list;
  list.dir = dir;
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    std::error_code unknown;
    if (!name.starts_with('.') && data::is_picture_name(name) && !entry.is_directory(unknown))
      list.files.push_back(name);
  }
  return list;
}

}  // namespace

PartRole part_role(const std::string& folder) {
  bool train = false, test = false, unlabelled = false;
  for (const std::string& word : words_of(folder)) {
    if (is_one_of(train_words, word)) {
      train = true;
    } else if (is_one_of(test_words, word)) {
      test = true;
    } else if (is_one_of(unlabelled_words, word)) {
      unlabelled = true;
    } else if (place(neutral_words, word) == neutral_words.size()) {
      return PartRole::none;
    }
  }
  if (unlabelled) return PartRole::unlabelled;
  if (train == test) return PartRole::none;
  return train ? PartRole::train : PartRole::test;
}

PictureParts find_parts(const std::string& dir) {
  const std::vector<std::string> folders = data::list_folders(dir);
  const auto count = [&](PartRole role) {
    return std::count_if(folders.begin(), folders.end(), [&](const auto& name) { return part_role(name) == role; });
  };
  PictureParts parts;
  if (count(PartRole::train) == 0) return parts;
  const bool several = count(PartRole::test) + count(PartRole::unlabelled) > 0;
  PictureParts::Part beside{"", pictures_in(dir)};
  if (!beside.pictures.files.empty()) {
    if (!several) return parts;
    parts.others.push_back(std::move(beside));
  }
  for (const std::string& name : folders) {
    PictureParts::Part part{name, data::list_pictures((fs::path(dir) / name).string())};
    switch (part_role(name)) {
      case PartRole::train: parts.train.push_back(std::move(part)); break;
      case PartRole::test: parts.test.push_back(std::move(part)); break;
      case PartRole::unlabelled: parts.unlabelled.push_back(std::move(part)); break;
      case PartRole::none:
        if (part.pictures.files.empty() && part.pictures.left_out.pictures.empty()) break;
        if (!several) return {};  // a class called train
        parts.others.push_back(std::move(part));
    }
  }
  sort_by_likelihood(parts.train, train_words);
  sort_by_likelihood(parts.test, test_words);
  sort_by_likelihood(parts.unlabelled, unlabelled_words);
  return parts;
}
