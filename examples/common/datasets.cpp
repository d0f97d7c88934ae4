#include "common/datasets.h"

#include <simclr/core/error.h>
#include <simclr/data/cifar.h>
#include <simclr/data/idx.h>
#include <simclr/data/image_folder.h>
#include <simclr/data/subset.h>

#include <filesystem>
#include <vector>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr const char* download_folder = "data-cache";  // where scripts/download puts things
constexpr const char* fashion_folder = "/usr/share/datasets/fashion-mnist";
constexpr std::int64_t holdout_every = 5;

bool has_cifar10(const std::string& dir) {
  return fs::exists(fs::path(dir) / "data_batch_1.bin") ||
         fs::exists(fs::path(dir) / "cifar-10-batches-bin" / "data_batch_1.bin");
}

Datasets cifar10(const std::string& dir) {
  return {"cifar10", data::cifar10(dir, data::Split::train), data::cifar10(dir, data::Split::test), 32, 3, ""};
}

Datasets cifar100(const std::string& dir) {
  return {"cifar100", data::cifar100(dir, data::Split::train), data::cifar100(dir, data::Split::test), 32, 3, ""};
}

Datasets fashion_mnist(const std::string& dir) {
  return {"fashion-mnist",
          data::fashion_mnist(dir, data::Split::train),
          data::fashion_mnist(dir, data::Split::test),
          28,
          1,
          ""};
}

Datasets folder(const std::string& dir) {
  Datasets sets{"folder", nullptr, nullptr, 32, 3, ""};
  const bool split = fs::is_directory(fs::path(dir) / "train") && fs::is_directory(fs::path(dir) / "test");
  if (split) {
    sets.train = data::image_folder((fs::path(dir) / "train").string());
    sets.test = data::image_folder((fs::path(dir) / "test").string());
    SIMCLR_CHECK(sets.train->classes() == sets.test->classes(), dir, ": train/ and test/ have different classes");
    if (sets.train->classes().empty()) sets.test = nullptr;
    return sets;
  }
  const std::shared_ptr<const data::Dataset> all = data::image_folder(dir);
  sets.train = all;
  if (all->classes().empty()) return sets;
  std::vector<std::int64_t> kept, held;
  for (std::int64_t i = 0; i < all->size(); ++i) (i % holdout_every == 0 ? held : kept).push_back(i);
  if (kept.size() >= 2 && held.size() >= 2) {
    sets.train = data::subset(all, kept);
    sets.test = data::subset(all, held);
  }
  return sets;
}

}  // namespace

Datasets open_labelled(const std::string& kind, const std::string& dir) {
  Datasets sets = open_datasets(kind, dir);
  SIMCLR_CHECK(sets.test != nullptr, "--data ", dir,
               sets.train->classes().empty() ? ": no labels: put each class's pictures into a folder of their own"
                                             : ": too few pictures to hold some out for testing");
  return sets;
}

Datasets open_datasets(const std::string& kind, const std::string& dir) {
  const std::string place = dir.empty() ? download_folder : dir;
  if (kind == "cifar10") return cifar10(place);
  if (kind == "cifar100") return cifar100(place);
  if (kind == "fashion-mnist") return fashion_mnist(dir.empty() ? fashion_folder : dir);
  if (kind == "folder") {
    SIMCLR_CHECK(!dir.empty(), "--dataset folder needs --data DIR, a folder of JPEG or PNG files");
    return folder(dir);
  }
  SIMCLR_CHECK(kind == "auto", "--dataset \"", kind,
               "\" is not known; use auto, cifar10, cifar100, fashion-mnist or folder");
  if (has_cifar10(place)) {
    Datasets sets = cifar10(place);
    sets.note = "auto: CIFAR-10 found in " + place + " (Fashion-MNIST: --dataset fashion-mnist)";
    return sets;
  }
  SIMCLR_CHECK(fs::is_directory(fashion_folder), "auto: no CIFAR-10 in ", place, " and no Fashion-MNIST in ",
               fashion_folder, "; run scripts/download cifar10, or apt-get install dataset-fashion-mnist");
  Datasets sets = fashion_mnist(fashion_folder);
  sets.note = "auto: no CIFAR-10 in " + place + ", so Fashion-MNIST from " + fashion_folder +
              " (CIFAR-10: run scripts/download cifar10)";
  return sets;
}
