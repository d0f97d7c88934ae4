#include <simclr/core/text.h>
#include <simclr/data/pictures/part_names.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <vector>

namespace simclr::data {
namespace {

using namespace std::string_view_literals;

/// Words of one meaning; the first stands for all.
struct Meaning {
  PartRole role;
  std::vector<std::string_view> words;
};

/// Of each role the likeliest first.
const std::vector<Meaning>& meanings() {
  static const std::vector<Meaning> all = {{PartRole::train, {"train", "training", "trn"}},
                                           {PartRole::train, {"trainval", "trainvalid", "trainvalidation"}},
                                           {PartRole::train, {"labeled", "labelled"}},
                                           {PartRole::test, {"test", "testing", "tst"}},
                                           {PartRole::test, {"val", "valid", "validation", "validate"}},
                                           {PartRole::test, {"eval", "evaluation", "evaluate"}},
                                           {PartRole::test, {"dev", "development"}},
                                           {PartRole::unlabelled, {"unlabeled", "unlabelled"}},
                                           {PartRole::unlabelled, {"unsupervised", "unsup"}}};
  return all;
}

constexpr std::array neutral_words = {"set"sv,  "sets"sv,   "data"sv,   "dataset"sv,  "images"sv,  "image"sv, "imgs"sv,
                                      "img"sv,  "split"sv,  "part"sv,   "jpg"sv,      "jpeg"sv,    "jpegs"sv, "png"sv,
                                      "pics"sv, "photos"sv, "folder"sv, "pictures"sv, "samples"sv, "seg"sv};

bool is_neutral(std::string_view word) {
  return std::find(neutral_words.begin(), neutral_words.end(), word) != neutral_words.end();
}

/// Of one of the words, or of one with a neutral word written behind it ("trainset").
PartName meaning_of(std::string_view word) {
  for (std::size_t place = 0; place < meanings().size(); ++place) {
    const auto& [role, words] = meanings()[place];
    for (const std::string_view known : words) {
      if (!word.starts_with(known)) continue;
      const std::string_view rest = word.substr(known.size());
      if (rest.empty() || is_neutral(rest)) return {role, words.front(), place};
    }
  }
  return {};
}

/// Its runs of letters, in lower case.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : lower_case(name)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = std::isalpha(byte) != 0 || byte >= 0x80;
    if (letter && !inside) words.emplace_back();
    if (letter) words.back() += c;
    inside = letter;
  }
  return words;
}

}  // namespace

PartName part_name(std::string_view name) {
  std::map<PartRole, PartName> said;  // of each role the likeliest
  for (const std::string& word : words_of(name)) {
    const PartName part = meaning_of(word);
    if (part.role == PartRole::none) {
      if (!is_neutral(word)) return {};
      continue;
    }
    const auto [before, is_new] = said.emplace(part.role, part);
    if (!is_new && part.place < before->second.place) before->second = part;
  }
  if (said.contains(PartRole::unlabelled)) return said.at(PartRole::unlabelled);
  if (said.size() == 1) return said.begin()->second;
  const bool both = said.size() == 2 && said[PartRole::train].word == "train" && said[PartRole::test].word == "val";
  return both ? meaning_of("trainval") : PartName{};
}

PartRole part_hint(std::string_view name) {
  for (const std::string& word : words_of(name)) {
    if (const PartRole role = meaning_of(word).role; role != PartRole::none) return role;
    if (word.starts_with("train")) return PartRole::train;
    if (word.starts_with("test") || word.starts_with("val")) return PartRole::test;
  }
  return PartRole::none;
}

}  // namespace simclr::data
