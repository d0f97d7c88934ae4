#include "modalities/imagenet_sets.h"

#include "run/data_places.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/picture_classes.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr std::array sets = {ImageNetSet{"tiny-imagenet", "Tiny-ImageNet", 64},
                             ImageNetSet{"imagenet", "ImageNet's folders", 224}};
// Where archives leave train, from the folder on that they are unpacked in, or from one of its own.
constexpr std::array inner_folders = {"", "tiny-imagenet-200", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC"};
constexpr const char* tiny_annotations = "val_annotations.txt";
constexpr const char* kaggle_annotations = "LOC_val_solution.csv";

/// n and eight digits.
bool is_wordnet_number(const std::string& name) {
  return name.size() == 9 && name[0] == 'n' &&
         std::all_of(name.begin() + 1, name.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool holds_wordnet_folder(const fs::path& dir) {
  std::error_code error;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code unknown;
    if (is_wordnet_number(entry->path().filename().string()) && entry->is_directory(unknown)) return true;
  }
  return false;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// The file in `dir` or as many as three folders above, where archives are laid out so; empty: there is none.
fs::path find_above(fs::path dir, const char* file) {
  for (int i = 0; i < 4; ++i, dir /= "..") {
    if (is_there(dir / file)) return dir / file;
  }
  return {};
}

using Words = std::map<std::string, std::string>;

/// Of each number the first of its names.
Words read_words(const fs::path& path) {
  Words words;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t middle = line.find_first_of("\t ");
    if (middle == std::string::npos) continue;
    const std::string names = line.substr(middle + 1);
    words[line.substr(0, middle)] = names.substr(0, names.find_first_of(",\r"));
  }
  return words;
}

/// A set whose classes have their words behind their numbers.
class Worded final : public data::Dataset {
 public:
  Worded(std::shared_ptr<const data::Dataset> samples, const Words& words)
      : samples_(std::move(samples)), classes_(samples_->classes()) {
    for (std::string& name : classes_) {
      const auto found = words.find(name);
      if (found != words.end()) name += " " + found->second;
    }
  }

  std::int64_t size() const override { return samples_->size(); }
  data::Sample sample(std::int64_t i, int part) const override { return samples_->sample(i, part); }
  int parts() const override { return samples_->parts(); }
  std::int32_t label(std::int64_t i) const override { return samples_->label(i); }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string file(std::int64_t i) const override { return samples_->file(i); }
  std::string place(std::int64_t i) const override { return samples_->place(i); }
  std::string describe() const override { return samples_->describe(); }

 private:
  std::shared_ptr<const data::Dataset> samples_;
  std::vector<std::string> classes_;
};

/// Whether no picture's folder tells its class: they lie in the part itself, or in its folder "images".
bool lies_flat(const data::PictureList& part) {
  return std::all_of(part.files.begin(), part.files.end(), [](const std::string& file) {
    return file.find('/') == std::string::npos ||
           (file.starts_with("images/") && file.find('/', 7) == std::string::npos);
  });
}

/// The file that has the classes of a part's pictures; empty: their folders or a list do, or none does.
fs::path find_annotations(const data::PictureList& part) {
  if (part.files.empty() || !part.labels.empty() || part.dir.empty() || !lies_flat(part)) return {};
  const fs::path tiny = fs::path(part.dir) / tiny_annotations;
  return is_there(tiny) ? tiny : find_above(fs::path(part.dir).parent_path(), kaggle_annotations);
}

/// Classes by the pictures' names without folder and ending.
using Annotations = std::map<std::string, std::string>;

/// Of lines that are a name, `between`, and a class up to a blank. The line `header`, if it is the first, says nothing.
Annotations read_annotations(const fs::path& path, char between, std::string_view header) {
  Annotations classes;
  std::ifstream file(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (number == 1 && line.starts_with(header) && !header.empty())) continue;
    const std::size_t middle = line.find(between);
    const std::string name = line.substr(0, middle);
    const std::string rest = middle == std::string::npos ? "" : line.substr(middle + 1);
    const std::string label = rest.substr(0, rest.find_first_of(" \t,"));
    SIMCLR_CHECK(!name.empty() && !label.empty(), simclr::printable(path.string()), ", line ", number,
                 ": no name of a picture with its class behind a ", between == '\t' ? "tab" : "comma");
    classes[fs::path(name).stem().string()] = label;
  }
  SIMCLR_CHECK(file.eof(), simclr::printable(path.string()), ": cannot be read");
  return classes;
}

/// Of those that name no picture of the part, a line; empty: there are none.
std::string missing_text(const Annotations& classes, const data::PictureList& part) {
  std::set<std::string> there;
  for (const std::string& file : part.files) there.insert(fs::path(file).stem().string());
  std::vector<std::string> missing;
  for (const auto& [name, label] : classes) {
    if (!there.contains(name)) missing.push_back(name);
  }
  if (missing.empty()) return {};
  return "has the classes of " + simclr::counted(std::ssize(missing), "picture") + " that " +
         (missing.size() == 1 ? "is" : "are") + " not in " + part.place() + ": " + simclr::listed(missing, 1);
}

}  // namespace

const ImageNetSet* imagenet_set(const std::string& kind) {
  const auto found = std::find_if(sets.begin(), sets.end(), [&](const ImageNetSet& set) { return set.kind == kind; });
  return found == sets.end() ? nullptr : &*found;
}

const ImageNetSet* find_imagenet_set(const std::string& dir) {
  const fs::path folder = imagenet_place(dir);
  if (!holds_wordnet_folder(folder / "train")) return nullptr;
  return imagenet_set(is_there(folder / "wnids.txt") ? "tiny-imagenet" : "imagenet");
}

std::string imagenet_place(const std::string& dir) {
  for (const std::string folder : inner_folders) {
    const std::string inner = folder.empty() ? dir : (fs::path(dir) / folder).string();
    if (holds_wordnet_folder(fs::path(inner) / "train")) return inner;
  }
  return dir;
}

std::string imagenet_places(const std::string& data) {
  std::string places;
  for (const std::string& place : split_places(data)) places += (places.empty() ? "" : "::") + imagenet_place(place);
  return places;
}

bool tells_classes(const data::PictureList& part) {
  if (!part.labels.empty()) return !part.classes.empty();
  return !lies_flat(part) || !find_annotations(part).empty();
}

std::string annotate(data::PictureList& part) {
  const fs::path file = find_annotations(part);
  if (file.empty()) return {};
  const bool tiny = file.filename() == tiny_annotations;
  if (tiny && --part.left_out.files[".txt"] == 0) {
    part.left_out.files.erase(".txt");
    part.left_out.file_folders.erase(".txt");
  }
  const Annotations classes = tiny ? read_annotations(file, '\t', "") : read_annotations(file, ',', "ImageId,");
  // Kaggle's file is of all ImageNet's classes, and the pictures may be of a hundred; others are in a place before.
  const std::string missing = tiny && part.left_out.known == 0 ? missing_text(classes, part) : "";
  if (!missing.empty()) part.warnings.push_back(simclr::printable(file.string()) + ": " + missing);
  data::name_classes(part, [&classes](const std::string& path) {
    const auto found = classes.find(fs::path(path).stem().string());
    return found == classes.end() ? std::string() : found->second;
  });
  return file.string();
}

void add_class_words(Datasets& sets, const std::string& dir) {
  Words words;
  for (const std::string& place : split_places(dir)) {
    const fs::path tiny = fs::path(place) / "words.txt";
    words.merge(read_words(is_there(tiny) ? tiny : find_above(place, "LOC_synset_mapping.txt")));
  }
  if (words.empty()) return;
  const bool apart = sets.labelled != sets.train;
  for (auto* set : {&sets.labelled, &sets.test, apart ? &sets.train : nullptr}) {
    if (set && *set) *set = std::make_shared<Worded>(*set, words);
  }
  if (!apart) sets.train = sets.labelled;
}
