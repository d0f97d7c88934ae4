#include "modalities/picture_sets.h"

#include "modalities/picture_parts.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/cifar.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/pictures/image_folder.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr const char* download_folder = "data-cache";  // where scripts/download puts things

/// A data set that is known by its files; one of them is there.
struct KnownSet {
  const char *kind, *name;
  std::array<const char*, 2> files;
};
constexpr KnownSet known_sets[] = {
    {"cifar10", "CIFAR-10", {"data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin"}},
    {"cifar100", "CIFAR-100", {"train.bin", "cifar-100-binary/train.bin"}},
    {"fashion-mnist", "Fashion-MNIST", {"train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"}},
    {"idx", "idx files", {"train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"}}};

bool holds(const std::string& dir, const KnownSet& set) {
  std::error_code error;
  return std::any_of(set.files.begin(), set.files.end(),
                     [&](const char* file) { return fs::exists(fs::path(dir) / file, error); }) &&
         (set.kind != std::string("fashion-mnist") || data::is_fashion_mnist(dir));
}

/// A data set that is published in two parts.
template <class Open>
PictureSets published(const std::string& kind, const std::string& dir, Open open, int size, int channels) {
  PictureSets sets;
  sets.kind = kind;
  sets.train = open(dir, data::Split::train);
  sets.size = size;
  sets.channels = channels;
  open_test_part(
      sets, [&] { return open(dir, data::Split::test); }, "the training part", "the test part");
  return sets;
}

PictureSets cifar10(const std::string& dir) {
  return published("cifar10", dir, data::cifar10, 32, 3);
}

PictureSets cifar100(const std::string& dir) {
  return published("cifar100", dir, data::cifar100, 32, 3);
}

PictureSets fashion_mnist(const std::string& dir) {
  return published("fashion-mnist", dir, data::fashion_mnist, 28, 1);
}

PictureSets idx(const std::string& dir) {
  return published("idx", dir, data::idx_files, 28, 1);
}

/// Where a class holds several folders of pictures they may be meant as the classes: how to say so, or nothing.
std::string deeper_classes(const data::PictureList& list, int classes_at) {
  if (classes_at == 0) return {};
  std::map<std::string, std::set<std::string>> below;  // of each class
  for (const std::string& file : list.files) {
    std::size_t end = 0;
    for (int depth = 0; depth < classes_at && end != std::string::npos; ++depth) end = file.find('/', end + 1);
    if (end == std::string::npos) continue;  // it lies less deep
    const std::size_t next = file.find('/', end + 1);
    if (next != std::string::npos) below[file.substr(0, end)].insert(file.substr(end + 1, next - end - 1));
  }
  const auto several =
      std::find_if(below.begin(), below.end(), [](const auto& each) { return each.second.size() > 1; });
  if (several == below.end()) return {};
  const std::string name = simclr::printable(several->first);
  return "what lies deeper belongs to the class above, so the " + std::to_string(several->second.size()) +
         " folders in " + simclr::printable(several->first) + " are one class (to make each a class: --classes-at " +
         std::to_string(classes_at + 1) + ")";
}

PictureSets empty_folder() {
  PictureSets sets;
  sets.kind = "folder";
  sets.decoded = true;
  return sets;
}

/// Opens the parts of a folder, and says in the note which are used and which are not.
class PartsReader {
 public:
  PartsReader(PictureParts parts, std::string dir, int classes_at)
      : parts_(std::move(parts)), dir_(std::move(dir)), classes_at_(classes_at) {}

  PictureSets read() {
    sets_.labelled = sets_.train = open(parts_.train.front(), classes_at_);
    sets_.add_note(deeper_);
    const bool labels = sets_.labelled->classes().size() >= 2;
    std::string line = "train: " + path(parts_.train.front().name);
    take_unlabelled(labels, line);
    for (PictureParts::Part& part : parts_.test) take_test(part, line);
    for (std::size_t i = 1; i < parts_.train.size(); ++i) leave_out(parts_.train[i], "");
    for (const PictureParts::Part& part : parts_.others) leave_out(part, "");
    sets_.add_note(line);
    for (const std::string& part : unused_) sets_.add_note("not used: " + part);
    if (parts_.test.empty()) keep_fifth(sets_, dir_);
    return std::move(sets_);
  }

 private:
  std::string path(const std::string& name) const { return (fs::path(dir_) / name).string(); }

  std::shared_ptr<const data::Dataset> open(PictureParts::Part& part, int classes_at) {
    for (const std::string& warning : part.pictures.warnings) sets_.warnings.push_back(warning);
    deeper_ = deeper_classes(part.pictures, classes_at);
    return data::image_folder(part.pictures, classes_at);
  }

  void leave_out(const PictureParts::Part& part, const std::string& why) {
    const std::string left_out = part.pictures.left_out.text();
    unused_.push_back(path(part.name) + " (" + simclr::counted(std::ssize(part.pictures.files), "picture") +
                      (left_out.empty() ? "" : ", and " + left_out) + (why.empty() ? "" : "; " + why) + ")");
  }

  void take_unlabelled(bool labels, std::string& line) {
    for (PictureParts::Part& part : parts_.unlabelled) {
      if (!labels || sets_.train != sets_.labelled || part.pictures.files.empty()) {
        leave_out(part, labels ? "" : path(parts_.train.front().name) + " has no labels either");
        continue;
      }
      sets_.train = open(part, 0);
      line = "train: " + path(part.name) + "; labels for the evaluation: " + path(parts_.train.front().name);
    }
  }

  void take_test(PictureParts::Part& part, std::string& line) {
    if (!sets_.test) {
      open_test_part(
          sets_, [&] { return open(part, classes_at_); }, path(parts_.train.front().name), path(part.name));
      if (sets_.test) {
        sets_.no_test.clear();
        line += "; test: " + path(part.name);
        return;
      }
    }
    leave_out(part, "");
  }

  PictureParts parts_;
  const std::string dir_;
  const int classes_at_;
  PictureSets sets_ = empty_folder();
  std::vector<std::string> unused_;
  std::string deeper_;  // of the part that was opened last
};

PictureSets folder(const std::string& dir, int classes_at) {
  PictureParts parts = find_parts(dir);
  if (!parts.train.empty()) return PartsReader(std::move(parts), dir, classes_at).read();
  data::PictureList list = data::list_pictures(dir);
  PictureSets sets = empty_folder();
  sets.warnings = list.warnings;
  sets.note = deeper_classes(list, classes_at);
  sets.labelled = sets.train = data::image_folder(std::move(list), classes_at);
  if (sets.train->classes().size() == 1 && !sets.note.empty()) {
    const std::string only = (fs::path(dir) / sets.train->classes().front()).string();
    sets.note = "all pictures lie in " + only + "; to take its folders for what they are, give --data " + only;
  }
  keep_fifth(sets, dir);
  return sets;
}

/// Puts a line before those of `text`.
void put_before(std::string& text, const std::string& line) {
  text = line + (text.empty() ? "" : "\n") + text;
}

PictureSets open_known(const std::string& kind, const std::string& dir, int classes_at) {
  const std::string place = data_place(kind, dir);
  if (kind == "cifar10") return cifar10(place);
  if (kind == "cifar100") return cifar100(place);
  if (kind == "fashion-mnist") return fashion_mnist(place);
  if (kind == "idx") return idx(place);
  SIMCLR_CHECK(kind == "folder", "--dataset \"", kind,
               "\" is not known; use auto, cifar10, cifar100, fashion-mnist, idx or folder");
  SIMCLR_CHECK(!dir.empty(), "--dataset folder needs --data DIR, a folder of JPEG or PNG files");
  return folder(dir, classes_at);
}

/// What lies in `dir`, or without one in the usual places.
PictureSets open_found(const std::string& dir) {
  const std::string place = dir.empty() ? download_folder : dir;
  for (const KnownSet& set : known_sets) {
    if ((dir.empty() && set.kind != std::string("cifar10")) || !holds(place, set)) continue;
    PictureSets sets = open_known(set.kind, place, 1);
    put_before(sets.note,
               "auto: " + std::string(set.name) + " found in " + place + " (to choose another set: --dataset)");
    return sets;
  }
  std::error_code error;
  SIMCLR_CHECK(dir.empty() || fs::exists(dir, error), "--data ", dir, ": no such folder");
  SIMCLR_CHECK(dir.empty() || fs::is_directory(dir, error), "--data ", dir,
               ": is not a folder but a file; give the folder that holds it");
  SIMCLR_CHECK(dir.empty(), "--data ", dir,
               ": holds neither CIFAR-10, CIFAR-100, Fashion-MNIST nor other idx files; add --dataset folder if it "
               "holds pictures");
  SIMCLR_CHECK(fs::is_directory(data::fashion_mnist_dir, error), "auto: no CIFAR-10 in ", place,
               " and no Fashion-MNIST in ", data::fashion_mnist_dir,
               "; run scripts/download cifar10, or apt-get install dataset-fashion-mnist");
  PictureSets sets = fashion_mnist(data::fashion_mnist_dir);
  put_before(sets.note, "auto: no CIFAR-10 in " + place + ", so Fashion-MNIST from " + data::fashion_mnist_dir +
                            " (CIFAR-10: run scripts/download cifar10)");
  return sets;
}

}  // namespace

std::string data_place(const std::string& kind, const std::string& dir) {
  if (!dir.empty()) return dir;
  return kind == "fashion-mnist" ? data::fashion_mnist_dir : download_folder;
}

PictureSets open_datasets(const std::string& kind, const std::string& dir, int classes_at) {
  SIMCLR_CHECK(classes_at >= 0 && classes_at <= 100, "--classes-at ", classes_at, ": must be 0 (no classes) to 100");
  PictureSets sets = kind == "auto" ? open_found(dir) : open_known(kind, dir, classes_at);
  if (!sets.labelled) sets.labelled = sets.train;
  return sets;
}

PictureSets open_labelled(const std::string& kind, const std::string& dir, int classes_at) {
  PictureSets sets = open_datasets(kind, dir, classes_at);
  sets.train = sets.labelled;
  SIMCLR_CHECK(sets.test != nullptr, "--data ", dir.empty() ? download_folder : dir, ": ", sets.no_test,
               sets.train->classes().size() < 2 ? "; put each class's pictures into a folder of their own" : "");
  return sets;
}

void prefer_data_set_of(const nlohmann::ordered_json& config, std::string& kind, std::string& dir, int& classes_at) {
  if (kind != "auto" || !dir.empty() || !config.is_object()) return;
  const auto text = [&config](const char* key) {
    const auto found = config.find(key);
    return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (text("dataset").empty()) return;
  kind = text("dataset");
  dir = text("data");
  classes_at = config.value("classes_at", classes_at);
}
