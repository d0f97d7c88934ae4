#pragma once

#include "train/datasets.h"

#include <simclr/data/path_list.h>

#include <nlohmann/json.hpp>

#include <functional>
#include <set>
#include <string>

/// What a data set's files are, by names and sizes: enough to notice that others lie there when a run goes on. No file
/// is read, and times do not count. {"files": their number, "bytes": of all, "content": a digest of names and sizes
/// whatever folder they are in, "folders": {folder: [files, digest]}}.

/// Of these files, paths from `dir`. One that cannot be found has no bytes: reading it tells.
nlohmann::ordered_json list_data_files(const std::string& dir, const simclr::data::PathList& files);

/// Of those in `dir` and in the folders below it whose name says that they are data. Hidden folders are left out, and
/// what cannot be listed: opening the data set says so.
nlohmann::ordered_json list_data_files(const std::string& dir,
                                       const std::function<bool(const std::string& name)>& is_data);

/// What the labels are: of each part, "training" and "test", or of "training and test" where the program parts them, a
/// digest of the classes' names and of which sample is from which file and has which label. A table may change and keep
/// its size.
nlohmann::ordered_json digest_labels(const Datasets& sets);

/// What differs, in one line: "class0 40 -> 36 files, class9 is gone (40 files), ..."; empty: nothing does. Where the
/// files are the same: whether Datasets::within, which a listing may hold as "within", says that some hold other
/// samples, else whether digest_labels(), as "labels", are others for these samples. `own` is what the files are called
/// that lie in no folder of the listing: "what --data names" where it names files.
std::string data_differ(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now,
                        const std::string& sample_name, const std::string& own = "the folder itself");

/// Whether two listings, with "labels" and "within" as data_differ() has them, tell that other samples are tested on
/// now, which may have been trained on before. `of_training`: Datasets::within_training. What was not known before
/// tells nothing.
bool test_part_differs(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now,
                       const std::set<std::string>& of_training);
