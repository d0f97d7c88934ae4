#include "modalities/picture_sets.h"

#include "modalities/folder_notes.h"
#include "modalities/imagenet_sets.h"
#include "modalities/linked_pictures.h"
#include "modalities/picture_array_files.h"
#include "modalities/picture_array_sets.h"
#include "modalities/picture_parts.h"
#include "modalities/picture_places.h"
#include "modalities/picture_shards.h"
#include "modalities/published_sets.h"
#include "modalities/unknown_folder.h"
#include "run/data_places.h"
#include "run/option_file.h"
#include "train/run_data.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/pictures/image_folder.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/data/pictures/picture_classes.h>
#include <simclr/data/pictures/picture_table.h>
#include <simclr/kernels/augment.h>

#include <algorithm>
#include <filesystem>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr const char* download_folder = "data-cache";  // where scripts/download puts things

/// Opens the parts of a folder, and says in the note which are used and which are not.
class PartsReader {
 public:
  PartsReader(PictureSets sets, PictureParts parts, int classes_at)
      : parts_(std::move(parts)), classes_at_(classes_at), sets_(std::move(sets)) {}

  /// `how`: as keep_fifth() has it.
  PictureSets read(const std::string& dir, const std::string& how) {
    sets_.take(data::channels_of_pictures(parts_.train.front().pictures), place(parts_.train.front()));
    const bool unlabelled = data::part_role(parts_.train.front().name) == data::PartRole::unlabelled;
    sets_.labelled = sets_.train = open(parts_.train.front(), unlabelled ? 0 : classes_at_);
    sets_.add_note(classes_alike(sets_.labelled->classes()));
    sets_.add_note(linked_pictures(parts_.train.front().pictures));
    const bool labels = sets_.labelled->classes().size() >= 2;
    std::string line = "train: " + place(parts_.train.front());
    if (unlabelled) line += " (there is no train part with labels, so there is no evaluation)";
    take_unlabelled(labels, line);
    take_test(line);
    for (std::size_t i = 1; i < parts_.train.size(); ++i) leave_out(parts_.train[i], "");
    for (const PictureParts::Part& part : parts_.others) leave_out(part, "");
    sets_.add_note(line);
    for (const std::string& part : unused_) sets_.add_note("not used: " + part);
    if (parts_.test.empty() && sets_.no_test.empty()) keep_fifth(sets_, dir, how);
    return std::move(sets_);
  }

 private:
  /// The part as messages name it.
  static const std::string& place(const PictureParts::Part& part) { return part.pictures.place(); }

  std::shared_ptr<const data::Dataset> open(PictureParts::Part& part, int classes_at) {
    for (const std::string& warning : part.pictures.warnings) sets_.warnings.push_back(warning);
    return data::image_folder(part.pictures, classes_at, sets_.channels);
  }

  /// By its folders, or by what a file says of them (imagenet_sets.h).
  std::shared_ptr<const data::Dataset> open_annotated(PictureParts::Part& part) {
    labels_from_ = annotate(part.pictures);
    return open(part, labels_from_.empty() ? classes_at_ : 1);
  }

  /// What describe() says of the part that is trained on.
  static std::string left_out_of(const PictureParts::Part& part) {
    const std::string left_out = part.pictures.left_out.text();
    return left_out.empty() ? "" : " (left out: " + left_out + ")";
  }

  void leave_out(const PictureParts::Part& part, const std::string& why) {
    const data::PictureList& pictures = part.pictures;
    unused_.push_back(unused_part(place(part), std::ssize(pictures.files), pictures.left_out.text(), why));
  }

  void take_unlabelled(bool labels, std::string& line) {
    for (PictureParts::Part& part : parts_.unlabelled) {
      if (!labels || sets_.train != sets_.labelled || part.pictures.files.empty()) {
        leave_out(part, labels ? "" : place(parts_.train.front()) + " has no labels either");
        continue;
      }
      sets_.train = open(part, 0);
      sets_.warn_of_values(data::channels_of_pictures(part.pictures), place(part));
      line = "train: " + place(part) + "; labels for the evaluation: " + place(parts_.train.front()) +
             left_out_of(parts_.train.front());
    }
  }

  void take_test(std::string& line) {
    std::vector<std::string> names;
    for (const PictureParts::Part& part : parts_.test) names.push_back(place(part));
    const std::size_t taken = open_first_test_part(
        sets_, names, [&](std::size_t i) { return open_annotated(parts_.test[i]); }, place(parts_.train.front()));
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i != taken) leave_out(parts_.test[i], "");
    }
    if (taken == names.size()) return;
    sets_.warn_of_values(data::channels_of_pictures(parts_.test[taken].pictures), names[taken]);
    sets_.add_note(linked_pictures(parts_.train.front().pictures, parts_.test[taken].pictures));
    line += "; test: " + names[taken] + (labels_from_.empty() ? "" : " with the labels of " + labels_from_) +
            left_out_of(parts_.test[taken]);
  }

  PictureParts parts_;
  const int classes_at_;
  PictureSets sets_;
  std::vector<std::string> unused_;
  std::string labels_from_;  // of the test part: the file that has them; empty: its folders are its classes
};

/// Pictures without parts.
PictureSets whole_set(PictureSets sets, data::PictureList list, int classes_at) {
  sets.warnings = list.warnings;
  const data::PictureChannels found = data::channels_of_pictures(list);
  const std::string place = list.place(), linked = linked_pictures(list);
  sets.labelled = sets.train = data::image_folder(std::move(list), classes_at, found.channels);
  sets.take(found, place);
  sets.add_note(classes_alike(sets.train->classes()));
  sets.add_note(linked);
  return sets;
}

/// Folders and lists of pictures.
PictureSets open_places(const std::string& kind, const std::string& dir, int classes_at) {
  PicturePlaces places = read_places(dir, classes_at, kind == "list");
  PictureSets sets;
  sets.kind = places.all_lists ? "list" : "folder";
  sets.decoded = true;
  sets.note = places.notes;
  sets.no_test = places.no_test;
  const std::string how = places.all_lists               ? "give " + dir + " a column split that says train or test"
                          : split_places(dir).size() > 1 ? "make the folders train and test in each of " + dir
                                                         : "";
  if (!places.whole) return PartsReader(std::move(sets), std::move(places.parts), classes_at).read(dir, how);
  sets = whole_set(std::move(sets), std::move(places.parts.train.front().pictures), classes_at);
  keep_fifth(sets, dir, how);
  return sets;
}

/// Puts a line before those of `text`.
void put_before(std::string& text, const std::string& line) {
  text = line + (text.empty() ? "" : "\n") + text;
}

PictureSets open_known(const std::string& kind, const std::string& dir, int classes_at, const std::string& cache_dir) {
  if (const PublishedSet* set = published_set(kind)) {
    PictureSets sets = set->open(data_place(kind, dir));
    sets.kind = kind;
    return sets;
  }
  if (kind == "arrays") {
    SIMCLR_CHECK(!dir.empty(), "--dataset arrays needs --data FILE, an .npz or .npy file, or a folder of .npy files");
    return open_arrays(dir, classes_at > 0);
  }
  if (kind == "shards") {
    SIMCLR_CHECK(!dir.empty(), "--dataset shards needs --data 'DIR/{000..127}.tar', tar files");
    return open_shards(dir, cache_dir);
  }
  if (const ImageNetSet* set = imagenet_set(kind)) {
    SIMCLR_CHECK(!dir.empty(), "--dataset ", kind, " needs --data DIR, the folder that holds train and val");
    const std::string places = imagenet_places(dir);
    PictureSets sets = open_places("folder", places, classes_at);
    sets.kind = kind;
    sets.size = set->size;
    add_class_words(sets, places);
    return sets;
  }
  SIMCLR_CHECK(kind == "folder" || kind == "list", "--dataset \"", kind, "\" is not known; use ",
               simclr::listed(dataset_kinds(), dataset_kinds().size()));
  SIMCLR_CHECK(!dir.empty(), "--dataset ", kind, " needs --data ",
               kind == "list" ? "FILE.csv, a list of pictures" : "DIR, a folder of pictures");
  PictureSets sets;
  try {
    sets = open_places(kind, dir, classes_at);
  } catch (const simclr::Error& error) {
    const PublishedSet* other = kind == "folder" ? published_set_in(dir) : nullptr;
    if (other == nullptr) throw;
    simclr::fail(error.what(), "; it holds ", other->name, ": take --dataset ", other->kind);
  }
  sets.kind = kind;  // as it was asked for, so that the same command goes on with the run
  return sets;
}

/// What lies in `dir`, or without one in the usual places.
PictureSets open_found(const std::string& dir, int classes_at, const std::string& cache_dir) {
  const std::string place = dir.empty() ? download_folder : dir;
  std::error_code error;
  if (names_shards(dir) || names_packed_shards(dir)) {
    PictureSets sets = open_shards(dir, cache_dir);
    put_before(sets.note, "auto: tar shards, by the ending of --data (to choose another set: --dataset)");
    return sets;
  }
  if (names_list(dir)) {
    PictureSets sets = open_places("folder", dir, classes_at);
    put_before(sets.note, split_places(dir).size() == 1
                              ? "auto: a list of pictures, by the ending of --data (to choose another set: --dataset)"
                              : "auto: pictures in several places, by the :: of --data");
    return sets;
  }
  for (const PublishedSet& set : published_sets()) {
    if ((dir.empty() && set.kind != std::string("cifar10")) || !set.lies_in || !set.lies_in(place)) continue;
    PictureSets sets = open_known(set.kind, place, 1, cache_dir);
    put_before(sets.note,
               "auto: " + std::string(set.name) + " found in " + place + " (to choose another set: --dataset)");
    return sets;
  }
  if (const ImageNetSet* set = dir.empty() ? nullptr : find_imagenet_set(dir)) {
    PictureSets sets = open_known(set->kind, dir, classes_at, cache_dir);
    put_before(sets.note, "auto: " + std::string(set->name) + " found in " + imagenet_place(dir) +
                              " (to choose another set: --dataset)");
    return sets;
  }
  if (!dir.empty() && holds_arrays(dir)) {
    PictureSets sets = open_arrays(dir, classes_at > 0);
    put_before(sets.note, "auto: arrays found in " + dir + " (to choose another set: --dataset)");
    return sets;
  }
  SIMCLR_CHECK(dir.empty() || fs::exists(dir, error), "--data ", dir, ": no such folder");
  SIMCLR_CHECK(dir.empty() || fs::is_directory(dir, error), "--data ", dir, ": is not a folder but a file; ",
               how_to_read_file(dir));
  SIMCLR_CHECK(dir.empty(), "--data ", dir, ": ", how_to_read(dir),
               " (auto knows CIFAR, STL-10, Fashion-MNIST, EMNIST, other idx files, ImageNet's folders, arrays, lists "
               "and tar shards)");
  SIMCLR_CHECK(fs::is_directory(data::fashion_mnist_dir, error), "auto: no CIFAR-10 in ", place,
               " and no Fashion-MNIST in ", data::fashion_mnist_dir,
               "; run scripts/download cifar10, or apt-get install dataset-fashion-mnist");
  PictureSets sets = open_known("fashion-mnist", data::fashion_mnist_dir, 1, cache_dir);
  put_before(sets.note, "auto: no CIFAR-10 in " + place + ", so Fashion-MNIST from " + data::fashion_mnist_dir +
                            " (CIFAR-10: run scripts/download cifar10)");
  return sets;
}

}  // namespace

std::string other_channels(int channels, int encoder) {
  return (channels == 3 ? "are grey or RGB" : "have " + simclr::counted(channels, "channel")) +
         ", the encoder is for " + simclr::counted(encoder, "channel");
}

void check_channels(const PictureSets& sets, const std::string& dir, int encoder) {
  using simclr::kernels::is_colour;
  SIMCLR_CHECK(sets.channels == encoder || (is_colour(sets.channels) && is_colour(encoder)),
               simclr::printable(dir.empty() ? sets.kind : dir), sets.mixed ? ": most of" : ":", " its pictures ",
               other_channels(sets.channels == 1 ? 3 : sets.channels, encoder));
}

void PictureSets::take(const data::PictureChannels& found, const std::string& place) {
  channels = found.channels;
  mixed = found.seen.size() > 1;
  add_note(found.text());
  warn_of_values(found, place);
}

void PictureSets::warn_of_values(const data::PictureChannels& found, const std::string& place) {
  if (const std::string beyond = found.floats.warning(); !beyond.empty()) {
    warnings.push_back(simclr::printable(place) + ": " + beyond);
  }
}

const std::vector<std::string>& dataset_kinds() {
  static const std::vector<std::string> all = {"auto",          "cifar10", "cifar100", "stl10", "mnist",
                                               "fashion-mnist", "kmnist",  "emnist",   "idx",   "tiny-imagenet",
                                               "imagenet",      "arrays",  "folder",   "list",  "shards"};
  return all;
}

std::string data_place(const std::string& kind, const std::string& dir) {
  if (!dir.empty()) return dir;
  return kind == "fashion-mnist" ? data::fashion_mnist_dir : download_folder;
}

PictureSets open_datasets(const std::string& kind, const std::string& dir, int classes_at,
                          const std::string& cache_dir) {
  SIMCLR_CHECK(classes_at >= 0 && classes_at <= 100, "--classes-at ", classes_at, ": must be 0 (no classes) to 100");
  check_places(dir);
  PictureSets sets =
      kind == "auto" ? open_found(dir, classes_at, cache_dir) : open_known(kind, dir, classes_at, cache_dir);
  if (!sets.labelled) sets.labelled = sets.train;
  return sets;
}

PictureSets open_labelled(const std::string& kind, const std::string& dir, int classes_at,
                          const std::string& cache_dir) {
  PictureSets sets = open_datasets(kind, dir, classes_at, cache_dir);
  sets.add_note(learn_from_labelled(sets));
  sets.train = sets.labelled;
  const bool list = is_list(dir, sets.kind == "list");
  SIMCLR_CHECK(sets.test != nullptr, "--data ", dir.empty() ? download_folder : dir, ": ", sets.no_test,
               sets.train->classes().size() >= 2 ? ""
               : list                            ? "; give the list a column called label"
               : sets.kind == "folder"           ? "; put each class's pictures into a folder of their own"
                                                 : "; this program needs labels");
  return sets;
}

void prefer_data_set_of(const nlohmann::ordered_json& config, const std::string& run, std::string& kind,
                        std::string& dir, int& classes_at) {
  if (kind != "auto" || !dir.empty() || !config.is_object()) return;
  const auto text = [&config](const char* key) {
    const auto found = config.find(key);
    return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (text("dataset").empty()) return;
  kind = text("dataset");
  dir = data_of_run(text("data"), text(started_in_key), run);
  classes_at = config.value("classes_at", classes_at);
}
