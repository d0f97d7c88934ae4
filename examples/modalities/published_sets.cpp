#include "modalities/published_sets.h"

#include "modalities/picture_parts.h"
#include "train/labelled_part.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/cifar.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/pictures/stl10.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

bool any_exists(const std::string& dir, std::initializer_list<const char*> files) {
  std::error_code error;
  return std::any_of(files.begin(), files.end(),
                     [&](const char* file) { return fs::exists(fs::path(dir) / file, error); });
}

/// A set that is published in two parts.
template <class Open>
PictureSets two_parts(Open open, int size, int channels) {
  PictureSets sets;
  sets.train = open(data::Split::train);
  sets.size = size;
  sets.channels = channels;
  open_test_part(
      sets, [&] { return open(data::Split::test); }, "the training part", "the test part");
  return sets;
}

PictureSets cifar10(const std::string& dir) {
  return two_parts([&](data::Split split) { return data::cifar10(dir, split); }, 32, 3);
}

PictureSets cifar100(const std::string& dir) {
  return two_parts([&](data::Split split) { return data::cifar100(dir, split); }, 32, 3);
}

/// The unlabelled part is trained on alone, as its authors ask (cs.stanford.edu/~acoates/stl10): the labelled one
/// serves the evaluation, so that no picture whose label is learned from was seen before.
PictureSets stl10(const std::string& dir) {
  PictureSets sets;
  sets.size = 96;
  sets.labelled = data::stl10(dir, data::Stl10Part::train);
  sets.train = sets.labelled;
  std::string line = "train: train_X.bin, as there is no unlabeled_X.bin";
  if (data::has_unlabelled_stl10(dir)) {
    sets.train = data::stl10(dir, data::Stl10Part::unlabelled);
    line = "train: unlabeled_X.bin; labels for the evaluation: train_X.bin";
  }
  open_test_part(
      sets, [&] { return data::stl10(dir, data::Stl10Part::test); }, "train_X.bin", "test_X.bin");
  sets.add_note(line + (sets.test ? "; test: test_X.bin" : ""));
  return sets;
}

/// Opens the parts of idx files, and says in the note which are used and which are not.
class IdxReader {
 public:
  explicit IdxReader(std::string dir) : dir_(std::move(dir)) {
    sets_.size = 28;
    sets_.channels = 1;
  }

  PictureSets read() {
    const Names train = data::idx_parts(dir_, PartRole::train), tests = data::idx_parts(dir_, PartRole::test);
    const std::string named = train.empty() ? "train" : train.front();
    sets_.labelled = sets_.train = data::idx_files(dir_, named);
    std::string line = "train: " + pictures_of(named);
    take_unlabelled(pictures_of(named), line);
    Names names;
    for (const std::string& part : tests) names.push_back(pictures_of(part));
    const std::size_t taken = open_first_test_part(
        sets_, names, [&](std::size_t i) { return data::idx_files(dir_, tests[i]); }, "the training part");
    for (std::size_t i = 0; i < tests.size(); ++i) {
      if (i != taken) leave_out(tests[i]);
    }
    if (taken < names.size()) line += "; test: " + names[taken];
    for (std::size_t i = 1; i < train.size(); ++i) leave_out(train[i]);
    for (const std::string& part : data::idx_parts(dir_, PartRole::none)) leave_out(part);
    if (line != "train: " + pictures_of("train")) sets_.add_note(line);
    for (const std::string& part : unused_) sets_.add_note("not used: " + part);
    if (tests.empty()) keep_fifth(sets_, dir_, "call files of them test-images-idx3-ubyte and test-labels-idx1-ubyte");
    return std::move(sets_);
  }

 private:
  using Names = std::vector<std::string>;
  using PartRole = data::PartRole;

  static std::string pictures_of(const std::string& part) { return part + "-images-idx3-ubyte"; }

  void leave_out(const std::string& part, const std::string& why = {}) {
    try {
      unused_.push_back(unused_part(pictures_of(part), data::idx_count(dir_, part), "", why));
    } catch (const simclr::Error& error) {
      unused_.push_back(pictures_of(part) + " (" + error.what() + ")");
    }
  }

  /// Trained on, where the other part has the labels for the evaluation.
  void take_unlabelled(const std::string& train, std::string& line) {
    const bool labels = sets_.labelled->classes().size() >= 2;
    for (const std::string& part : data::idx_parts(dir_, PartRole::unlabelled)) {
      std::string why = labels ? "" : train + " has no labels either";
      try {
        if (labels && sets_.train == sets_.labelled) {
          sets_.train = data::idx_files(dir_, part, false);
          line = "train: " + pictures_of(part) + "; labels for the evaluation: " + train;
          continue;
        }
      } catch (const simclr::Error& error) {
        why = error.what();
      }
      leave_out(part, why);
    }
  }

  const std::string dir_;
  PictureSets sets_;
  Names unused_;
};

PictureSets idx(const std::string& dir) {
  return IdxReader(dir).read();
}

PictureSets fashion_mnist(const std::string& dir) {
  PictureSets sets = two_parts([&](data::Split split) { return data::fashion_mnist(dir, split); }, 28, 1);
  SIMCLR_CHECK(data::is_fashion_mnist(dir), "--dataset fashion-mnist: ", dir,
               " holds another set, whose training labels do not begin as Fashion-MNIST's; take --dataset idx");
  return sets;
}

/// The files of these have the same names. Fashion-MNIST's are known by their first labels; others are taken for what
/// they are called where all ten labels occur.
template <class Open>
PictureSets no_fashion(const std::string& dir, const std::string& kind, Open read) {
  PictureSets sets = two_parts([&](data::Split split) { return read(dir, split); }, 28, 1);
  SIMCLR_CHECK(!data::is_fashion_mnist(dir), "--dataset ", kind, ": ", dir,
               " holds Fashion-MNIST; take --dataset fashion-mnist");
  const std::vector<std::int32_t> labels = labels_of(*sets.train);
  const std::size_t occur = std::set<std::int32_t>(labels.begin(), labels.end()).size();
  SIMCLR_CHECK(occur == sets.train->classes().size(), "--dataset ", kind, ": ", dir, " holds another set, with ", occur,
               " of the ", sets.train->classes().size(), " labels among its training pictures; take --dataset idx");
  return sets;
}

PictureSets mnist(const std::string& dir) {
  return no_fashion(dir, "mnist", data::mnist);
}

PictureSets kmnist(const std::string& dir) {
  return no_fashion(dir, "kmnist", data::kmnist);
}

constexpr std::string_view emnist_begins = "emnist-";

/// One of EMNIST's six sets: the only one in `dir`, or the one that `dir` names by how its files begin.
PictureSets emnist(const std::string& dir) {
  std::error_code error;
  fs::path folder = dir;
  std::string set;
  if (fs::is_directory(folder, error)) {
    const std::vector<std::string> sets = data::emnist_sets(dir);
    SIMCLR_CHECK(!sets.empty(), "--data ", dir, ": holds no emnist-...-train-images-idx3-ubyte or .gz");
    SIMCLR_CHECK(sets.size() == 1, "--data ", dir, ": holds several of EMNIST's sets, ",
                 simclr::listed(sets, sets.size()), "; name one: --data ",
                 (folder / (std::string(emnist_begins) + sets.front())).string());
    set = sets.front();
  } else {
    const std::string file = folder.filename().string();
    folder = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
    SIMCLR_CHECK(file.starts_with(emnist_begins) && fs::is_directory(folder, error), "--data ", dir,
                 ": there is no such folder");
    set = emnist_stem(file).substr(emnist_begins.size());
    set.pop_back();
  }
  return two_parts([&](data::Split split) { return data::emnist(folder.string(), set, split); }, 28, 1);
}

bool is_idx(const std::string& name) {
  return name.find("-ubyte") != std::string::npos;
}

/// As emnist() takes it. emnist-letters.npz is none: it holds arrays.
bool is_emnist(const std::string& dir) {
  std::error_code error;
  if (fs::is_directory(dir, error)) return !data::emnist_sets(dir).empty();
  const std::string name = fs::path(dir).filename().string();
  return name.starts_with(emnist_begins) && (is_idx(name) || !fs::exists(dir, error));
}

bool is_stl10(const std::string& name) {
  return name.ends_with("_X.bin") || name.ends_with("_y.bin");
}

}  // namespace

const std::vector<PublishedSet>& published_sets() {
  static const std::vector<PublishedSet> all = {
      {"cifar10", "CIFAR-10",
       [](const std::string& dir) {
         return any_exists(dir, {"data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin"});
       },
       cifar10,
       [](const std::string& name) {
         return name.ends_with("_batch.bin") || (name.starts_with("data_batch_") && name.ends_with(".bin"));
       }},
      {"cifar100", "CIFAR-100",
       [](const std::string& dir) {
         return any_exists(dir, {"train.bin", "cifar-100-binary/train.bin"});
       },
       cifar100, [](const std::string& name) { return name == "train.bin" || name == "test.bin"; }},
      {"stl10", "STL-10",
       [](const std::string& dir) {
         return any_exists(dir, {"train_X.bin", "stl10_binary/train_X.bin"});
       },
       stl10, is_stl10},
      {"fashion-mnist", "Fashion-MNIST",
       [](const std::string& dir) {
         return any_exists(dir, {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"}) &&
                data::is_fashion_mnist(dir);
       },
       fashion_mnist, is_idx},
      {"emnist", "EMNIST", is_emnist, emnist, is_idx},
      {"idx", "idx files", [](const std::string& dir) { return !data::idx_parts(dir, data::PartRole::train).empty(); },
       idx, is_idx},
      {"mnist", "MNIST", nullptr, mnist, is_idx},
      {"kmnist", "KMNIST", nullptr, kmnist, is_idx}};
  return all;
}

const PublishedSet* published_set_in(const std::string& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) return nullptr;
  const auto& all = published_sets();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& set) { return set.lies_in && set.lies_in(dir); });
  return found == all.end() ? nullptr : &*found;
}

const PublishedSet* published_set(const std::string& kind) {
  const auto& all = published_sets();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& set) { return set.kind == kind; });
  return found == all.end() ? nullptr : &*found;
}

std::string emnist_stem(const std::string& file) {
  return file.substr(0, file.find('-', emnist_begins.size())) + "-";
}
