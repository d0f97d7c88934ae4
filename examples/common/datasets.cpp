#include "common/datasets.h"

#include "common/test_part.h"

#include <simclr/core/error.h>
#include <simclr/data/cifar.h>
#include <simclr/data/free_memory.h>
#include <simclr/data/idx.h>
#include <simclr/data/image_folder.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr const char* download_folder = "data-cache";  // where scripts/download puts things
constexpr const char* fashion_folder = "/usr/share/datasets/fashion-mnist";

/// A data set that is known by its files; one of them is there.
struct KnownSet {
  const char *kind, *name;
  std::array<const char*, 2> files;
};
constexpr KnownSet known_sets[] = {
    {"cifar10", "CIFAR-10", {"data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin"}},
    {"cifar100", "CIFAR-100", {"train.bin", "cifar-100-binary/train.bin"}},
    {"fashion-mnist", "Fashion-MNIST", {"train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"}}};

bool holds(const std::string& dir, const KnownSet& set) {
  std::error_code error;
  return std::any_of(set.files.begin(), set.files.end(),
                     [&](const char* file) { return fs::exists(fs::path(dir) / file, error); });
}

/// A data set that is published in two parts.
template <class Open>
Datasets published(const std::string& kind, const std::string& dir, Open open, int size, int channels) {
  Datasets sets{kind, open(dir, data::Split::train), nullptr, size, channels, ""};
  open_test_part(
      sets, [&] { return open(dir, data::Split::test); }, "the training part", "the test part");
  return sets;
}

Datasets cifar10(const std::string& dir) {
  return published("cifar10", dir, data::cifar10, 32, 3);
}

Datasets cifar100(const std::string& dir) {
  return published("cifar100", dir, data::cifar100, 32, 3);
}

Datasets fashion_mnist(const std::string& dir) {
  return published("fashion-mnist", dir, data::fashion_mnist, 28, 1);
}

Datasets folder(const std::string& dir) {
  Datasets sets{"folder", nullptr, nullptr, 32, 3, ""};
  const std::string train = (fs::path(dir) / "train").string(), test = (fs::path(dir) / "test").string();
  if (fs::is_directory(train) && fs::is_directory(test)) {
    sets.train = data::image_folder(train);
    open_test_part(
        sets, [&] { return data::image_folder(test); }, train, test);
  } else {
    sets.train = data::image_folder(dir);
    keep_fifth(sets, dir);
  }
  return sets;
}

/// Puts a line before those of `text`.
void put_before(std::string& text, const std::string& line) {
  text = line + (text.empty() ? "" : "\n") + text;
}

Datasets open(const std::string& kind, const std::string& dir) {
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
  for (const KnownSet& set : known_sets) {
    if ((dir.empty() && set.kind != std::string("cifar10")) || !holds(place, set)) continue;
    Datasets sets = open(set.kind, place);
    put_before(sets.note,
               "auto: " + std::string(set.name) + " found in " + place + " (to choose another set: --dataset)");
    return sets;
  }
  std::error_code error;
  SIMCLR_CHECK(dir.empty() || fs::is_directory(dir, error), "--data ", dir, ": no such folder");
  SIMCLR_CHECK(dir.empty(), "--data ", dir,
               ": holds neither CIFAR-10, CIFAR-100 nor Fashion-MNIST; add --dataset folder if it holds pictures");
  SIMCLR_CHECK(fs::is_directory(fashion_folder, error), "auto: no CIFAR-10 in ", place, " and no Fashion-MNIST in ",
               fashion_folder, "; run scripts/download cifar10, or apt-get install dataset-fashion-mnist");
  Datasets sets = fashion_mnist(fashion_folder);
  put_before(sets.note, "auto: no CIFAR-10 in " + place + ", so Fashion-MNIST from " + fashion_folder +
                            " (CIFAR-10: run scripts/download cifar10)");
  return sets;
}

}  // namespace

Datasets open_datasets(const std::string& kind, const std::string& dir) {
  Datasets sets = open(kind, dir);
  sets.labelled = sets.train;
  return sets;
}

Datasets open_labelled(const std::string& kind, const std::string& dir) {
  Datasets sets = open_datasets(kind, dir);
  SIMCLR_CHECK(sets.test != nullptr, "--data ", dir.empty() ? download_folder : dir, ": ", sets.no_test,
               sets.train->classes().size() < 2 ? "; put each class's pictures into a folder of their own" : "");
  return sets;
}

void prefer_data_set_of(const nlohmann::ordered_json& config, std::string& kind, std::string& dir) {
  if (kind != "auto" || !dir.empty() || !config.is_object()) return;
  const auto text = [&config](const char* key) {
    const auto found = config.find(key);
    return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (text("dataset").empty()) return;
  kind = text("dataset");
  dir = text("data");
}

void cache_decoded(Datasets& sets, double cache_gb, const std::string& cache_dir) {
  if (sets.kind != "folder" || (cache_gb == 0 && cache_dir.empty())) return;
  const double memory = cache_gb < 0 ? static_cast<double>(simclr::data::free_memory()) / 2 : cache_gb * 1e9;
  const bool apart = sets.labelled != sets.train;
  std::vector<std::shared_ptr<const data::Dataset>*> parts;
  double pictures = 0;
  for (auto* set : {&sets.train, &sets.test, &sets.held_out, apart ? &sets.labelled : nullptr}) {
    if (!set || !*set) continue;
    parts.push_back(set);
    pictures += static_cast<double>((*set)->size());
  }
  for (auto* set : parts) {
    const double share = memory * static_cast<double>((*set)->size()) / pictures;
    sets.caches.push_back(std::make_shared<data::DecodedCache>(
        *set, data::DecodedCacheOptions{.memory_bytes = static_cast<std::int64_t>(share), .spill_folder = cache_dir}));
    *set = sets.caches.back();
  }
  if (!apart) sets.labelled = sets.train;
}

std::string cache_line(const Datasets& sets) {
  data::DecodedCache::State sum;
  for (const auto& cache : sets.caches) {
    const data::DecodedCache::State state = cache->state();
    sum.in_memory += state.in_memory;
    sum.memory_bytes += state.memory_bytes;
    sum.in_file += state.in_file;
    sum.file_bytes += state.file_bytes;
    sum.full = sum.full || state.full;
    if (sum.file_problem.empty()) sum.file_problem = state.file_problem;
  }
  if (sum.in_memory + sum.in_file == 0) return "";
  const auto part = [](std::int64_t count, std::int64_t bytes, const char* where) {
    const double unit = bytes >= 1'000'000'000 ? 1e9 : bytes >= 1'000'000 ? 1e6 : 1e3;
    char text[96];
    std::snprintf(text, sizeof text, "%lld in %s (%.1f %s)", static_cast<long long>(count), where,
                  static_cast<double>(bytes) / unit,
                  unit == 1e9   ? "GB"
                  : unit == 1e6 ? "MB"
                                : "kB");
    return std::string(text);
  };
  std::string line = "decoded pictures are kept: " + part(sum.in_memory, sum.memory_bytes, "memory");
  if (sum.in_file > 0) line += ", " + part(sum.in_file, sum.file_bytes, "a temporary file");
  if (!sum.file_problem.empty()) line += "; the file takes no more: " + sum.file_problem;
  if (sum.full) line += "; the others are decoded in every epoch, --cache-gb and --cache-dir keep more";
  return line;
}
