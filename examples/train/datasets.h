#pragma once

#include <simclr/core/world.h>
#include <simclr/data/dataset.h>
#include <simclr/data/decoded_cache.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

/// What a program trains and evaluates on.
struct Datasets {
  std::string sample_name = "sample";  // what one is called in messages: "clip"; more of them with an s
  std::string kind = {};               // which data set, as --dataset has it: cifar10, folder, ...
  std::shared_ptr<const simclr::data::Dataset> train = nullptr;
  std::shared_ptr<const simclr::data::Dataset> test =
      nullptr;                             // null where there is nothing to evaluate with: see no_test
  std::string note = {};                   // what was chosen and how to choose otherwise; empty: nothing was
  std::string no_test = {};                // why there is no test part
  std::vector<std::string> warnings = {};  // of what could not be read
  /// What the evaluation learns the classes from: `train`, which null means while they are opened, unless unlabelled
  /// samples are trained on.
  std::shared_ptr<const simclr::data::Dataset> labelled = nullptr;
  std::shared_ptr<const simclr::data::Dataset> whole = nullptr;     // that keep_fifth() parted; null: it parted none
  std::shared_ptr<const simclr::data::Dataset> held_out = nullptr;  // by --hold-out; null: nothing was
  std::vector<std::int32_t> groups = {};  // of each labelled sample; those of one stay together; empty: each is alone
  std::map<std::string, std::string> within = {};  // of files that hold many samples each: a digest of these
  std::set<std::string> within_training = {};      // those of them that tell nothing of what is tested on
  bool decoded = false;                            // whether reading a sample decodes a file, which a cache saves
  std::vector<std::shared_ptr<simclr::data::DecodedCache>> caches = {};  // of these, where they have one

  /// One more line of `note`; an empty one adds none.
  void add_note(const std::string& line);
};

/// How many bytes of decoded samples --cache-gb and --cache-dir keep; with a folder infinitely many.
double cache_bytes(double cache_gb, const std::string& cache_dir);

/// Lets samples that are decoded be so once: as --cache-gb and --cache-dir say. Throws simclr::Error, and changes
/// nothing, where the folder takes no file.
void cache_decoded(Datasets& sets, double cache_gb, const std::string& cache_dir);

/// Lets the ranks of each host have these caches in common. All call it, before they ask for a sample.
void share_caches(Datasets& sets, simclr::World& world);

/// cache_decoded() with half of the free memory; what does not fit goes where a run's did, `cache_dir`, or to no file
/// where none can be made there, since the folder is another user's, or read-only: sets.note says so then.
void cache_where_run_did(Datasets& sets, const std::string& cache_dir);

/// What the caches hold by now, those of this host's ranks together, in one line; empty where there are none, or
/// nothing in them.
std::string cache_line(const Datasets& sets);
