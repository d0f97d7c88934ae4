#include "modalities/clip_sets.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_io.h>
#include <simclr/data/video/clip_list.h>
#include <simclr/data/video/moving.h>

#include <algorithm>
#include <filesystem>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t moving_train = 20'000, moving_test = 2'000;
constexpr std::uint64_t moving_seed = 1;

bool is_moving(const std::string& kind, const std::string& place) {
  return kind == "moving-fashion-mnist" || (kind == "auto" && place.empty());
}

std::string fashion_dir(const std::string& place) {
  return place.empty() ? data::fashion_mnist_dir : place;
}

/// Of a folder of frames its pictures.
data::PathList files_of(const data::FieldList& list) {
  data::PathList files;
  std::error_code error;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string clip = list.files[i], path = list.path(i);
    if (!fs::is_directory(path, error)) {
      files.push_back(clip);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const std::string name = entry.path().filename().string();
      if (data::is_picture_name(name)) files.push_back(clip + "/" + name);
    }
  }
  return files;
}

/// The files of Fashion-MNIST, which move; those of its test part move in the clips that are tested on.
Datasets open_moving(const ListedSource& source) {
  SIMCLR_CHECK(source.pattern.empty() && source.test.empty(),
               "--pattern and --test are of one's own clips; moving Fashion-MNIST is parted as it is published");
  Datasets sets;
  sets.sample_name = "clip";
  sets.kind = "moving-fashion-mnist";
  const std::string dir = fashion_dir(source.data);
  const auto make = [&](data::Split split, std::int64_t clips, std::uint64_t seed) {
    return data::moving_pictures(data::fashion_mnist(dir, split), {.clips = clips, .seed = seed});
  };
  sets.labelled = sets.train = make(data::Split::train, moving_train, moving_seed);
  sets.test = make(data::Split::test, moving_test, moving_seed + 1);
  if (source.data.empty()) sets.add_note("moving Fashion-MNIST; clips of your own: --data FOLDER");
  return sets;
}

}  // namespace

ListedKind clip_files(double cache_bytes) {
  const auto open = [cache_bytes](const data::FieldList& list, std::size_t all) {
    constexpr double most = std::int64_t{1} << 26;  // as data::clip_folder() has it
    const double share = cache_bytes / static_cast<double>(all);
    return data::clip_folder(list, static_cast<std::int64_t>(std::min(most, share)));
  };
  return {.sample = "clip",
          .group_names = {"group", "session", "subject", "person", "actor", "speaker", "video", "scene"},
          .folder = data::list_clips,
          .table = data::read_clip_table,
          .is_sample = data::is_clip_name,
          .open = open,
          .files = files_of};
}

const std::vector<std::string>& clip_set_kinds() {
  static const std::vector<std::string> kinds = {"auto", "folder", "list", "moving-fashion-mnist"};
  return kinds;
}

void check_clips(const std::string& kind, const std::string& place) {
  std::error_code error;
  const bool others = place.ends_with(".tar") || (place.find("::") != std::string::npos && !fs::exists(place, error));
  SIMCLR_CHECK(!others, simclr::printable(place),
               ": several places A::B and tar shards are not for clips; name all clips in one list, clips.csv");
  check_listed(kind, place);
}

Datasets open_clips(const std::string& kind, const ListedSource& source, double cache_bytes) {
  if (is_moving(kind, source.data)) return open_moving(source);
  check_clips(kind, source.data);
  return open_listed(source, clip_files(cache_bytes));
}

ListedFiles files_of_clips(const std::string& kind, const std::string& place, const std::string& pattern) {
  if (!is_moving(kind, place)) return listed_files(place, pattern, clip_files());
  ListedFiles found{.dir = fashion_dir(place), .files = {}};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(found.dir, error)) {
    const std::string name = entry.path().filename().string();
    if (name.find("-ubyte") != std::string::npos) found.files.push_back(name);
  }
  return found;
}
