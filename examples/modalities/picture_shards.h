#pragma once

#include "modalities/picture_sets.h"

#include <simclr/data/pictures/shard_pictures.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Whether --data names tar shards: by its ending, which no folder has.
bool names_shards(const std::string& data);

/// Whether it names tar files that were compressed, by their ending: reading them as shards says what to do.
bool names_packed_shards(const std::string& data);

/// The files that --data names, and those that are found beside them by name.
struct ShardParts {
  struct Part {
    std::string name;  // for messages: "shards/val-00.tar and 4 more"
    std::vector<std::string> paths;
  };
  std::vector<std::string> train;      // each once
  std::vector<std::string> repeated;   // those that are named once more
  std::vector<Part> test, unlabelled;  // the likeliest first
  std::vector<std::string> others;     // shards beside all these that are in no part, sorted
};

/// Of shards that are called train, as part_names.h knows the word, the other parts are those called so but for the
/// word and digits: beside "in1k-train-{000..127}.tar" "in1k-val-00.tar" and "in1k-unlabeled-0.tar", else beside
/// "train/{0..9}.tar" all in "test" and in "unlabeled". Of several places, "a/{0..9}.tar::b/{0..9}.tar"
/// (split_places()), each has its own. What `pattern` names itself is in no other part. Throws simclr::Error for braces
/// that cannot be read, and for a folder.
ShardParts find_shard_parts(const std::string& pattern);

/// Opens the shards `paths`. Their index is kept in `cache_dir`, where it is empty in the user's folder for such things
/// ($XDG_CACHE_HOME or ~/.cache). Throws simclr::Error where there is no sample.
std::shared_ptr<const simclr::data::Shards> open_tar_files(const std::vector<std::string>& paths,
                                                           const std::string& cache_dir,
                                                           const std::function<void(const std::string&)>& on_warning);
/// The pictures in them. Throws simclr::Error where there is none.
simclr::data::ShardPictureList list_shard_pictures(const std::vector<std::string>& paths, const std::string& cache_dir,
                                                   const std::function<void(const std::string&)>& on_warning);

/// The pictures in tar shards; `pattern` has braces as a shell's. An unlabelled part is trained on where the shards
/// have labels for the evaluation. Without a test part a fifth is kept.
PictureSets open_shards(const std::string& pattern, const std::string& cache_dir);
