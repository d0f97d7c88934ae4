#include "modalities/unknown_folder.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_list.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

/// The names in `dir` that end so, sorted.
std::vector<std::string> names_with(const std::string& dir, std::string_view ending) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (data::ending_of(name) == ending && !name.starts_with('.')) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool holds_cifar_of_python(const std::string& dir) {
  const auto has = [&dir](const char* name) {
    std::error_code error;
    return fs::exists(fs::path(dir) / name, error);
  };
  const auto has_file = [&dir](const char* name) {
    std::error_code error;
    return fs::is_regular_file(fs::path(dir) / name, error);
  };
  return has("data_batch_1") || has("cifar-10-batches-py") || has("cifar-100-python") ||
         (has_file("train") && has_file("test") && has_file("meta"));
}

/// The folder below `dir` that holds idx files, as torchvision's MNIST/raw; empty: none does.
std::string idx_files_below(const std::string& dir) {
  constexpr int deepest = 3;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    if (entry.depth() == deepest) entry.disable_recursion_pending();
    if (entry.depth() > 0 && entry->path().filename().string().find("-images-idx3-ubyte") != std::string::npos) {
      return entry->path().parent_path().string();
    }
  }
  return {};
}

std::string pictures_in(const std::string& dir) {
  try {
    const data::PictureList list = data::list_pictures(dir);
    if (!list.files.empty() && data::ending_of(list.files[0]) == ".npy") {
      return "holds " + simclr::counted(std::ssize(list.files), ".npy file") +
             " in folders: put them into one, called train_images, train_labels, test_images and so on, or add "
             "--dataset folder where each is a picture";
    }
    if (!list.files.empty()) {
      return "holds " + simclr::counted(std::ssize(list.files), "picture") + ": add --dataset folder";
    }
    if (const std::string below = idx_files_below(dir); !below.empty()) {
      return "holds idx files in a folder below it: give that one, as in --data " + simclr::printable(below);
    }
    if (holds_cifar_of_python(dir)) return "holds CIFAR's Python version, which is not read: get the binary version";
    const std::string others = list.left_out.text();
    return others.empty() ? "holds no files" : "holds no pictures but " + others;
  } catch (const simclr::Error& error) {
    return error.what();
  }
}

}  // namespace

std::string how_to_read_shards(const std::string& dir, const std::string& option) {
  const auto names = names_with(dir, ".tar");
  if (names.empty()) return {};
  const auto in_it = [&dir](const std::string& name) { return simclr::printable((fs::path(dir) / name).string()); };
  return "holds " + simclr::counted(std::ssize(names), ".tar file") + ": name " +
         (names.size() == 1
              ? "it, as in " + option + in_it(names.front())
              : "them, " + simclr::listed(names, 2) + ", as in " + option + "'" + in_it("{000..127}.tar") + "'");
}

std::string how_to_read(const std::string& dir) {
  const auto in_it = [&dir](const std::string& name) { return simclr::printable((fs::path(dir) / name).string()); };
  if (const std::string shards = how_to_read_shards(dir, "--data "); !shards.empty()) return shards;
  if (const auto names = names_with(dir, ".npy"); !names.empty()) {
    return "holds " + simclr::counted(std::ssize(names), ".npy file") +
           ": add --dataset folder where each is a picture, or give one that holds them all, as in --data " +
           in_it(names.front());
  }
  if (const auto names = names_with(dir, ".idx3-ubyte"); !names.empty()) {
    return "holds idx files with a dot in their names: put a dash for it, as in " +
           in_it(fs::path(names.front()).stem().string() + "-idx3-ubyte");
  }
  return pictures_in(dir);
}

std::string how_to_read_file(const std::string& path) {
  const std::string ending = data::ending_of(path);
  const auto is_one_of = [&ending](const std::vector<std::string_view>& all) {
    return std::find(all.begin(), all.end(), ending) != all.end();
  };
  if (is_one_of({".txt", ".lst", ".list"})) return "where it is a list of pictures, add --dataset list";
  if (is_one_of({".xlsx", ".xls", ".ods", ".json", ".jsonl", ".parquet"})) {
    return "where it is a list of pictures, save it as CSV, a row with path and label for each";
  }
  const bool idx = path.find("-ubyte") != std::string::npos;  // which are read as they are
  if (!idx && is_one_of({".zip", ".gz", ".bz2", ".xz", ".rar", ".7z"})) return "unpack it, and give that folder";
  return "give the folder that holds it";
}
