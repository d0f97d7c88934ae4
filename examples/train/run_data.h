#pragma once

#include <nlohmann/json.hpp>

#include <string>

/// Where the data of a run lie, and its cache folder, that were given as relative paths: these are from the folder in
/// which the run was begun, whatever the current one. So config.json and the checkpoints' metadata say that folder,
/// under started_in_key (option_file.h). Weights do not, so that those of equal runs are equal to the byte, wherever
/// they lie.

/// The current folder as a path from `run`, a run's folder. Empty where neither `data` nor `other`, such as a folder
/// for caches, needs it: they are absolute, or not given.
std::string started_in(const std::string& data, const std::string& other, const std::string& run);

/// The folder that a run's configuration calls `started_in`, as a path from another run's folder.
std::string started_in_from(const std::string& started_in, const std::string& run, const std::string& other);

/// Adds it to the configuration that is in a run's weights, where config.json lies by them and names the same data.
/// `run` is a file in the run's folder or in its checkpoints.
void add_started_in(nlohmann::ordered_json& config, const std::string& run);

/// What the newest checkpoint of a run says of the data (RunCheckpoints); null: it has none, or none that can be read.
/// `run` is its folder, or a file in it or in its checkpoints.
nlohmann::ordered_json data_files_of_run(const std::string& run);

/// What a run's configuration calls `path`, from the current folder or absolute, whichever is shorter; as it is where
/// it needs no other. `run` is the run's folder or a file in it or in its checkpoints, `started_in` as its
/// configuration has it.
std::string path_of_run(const std::string& path, const std::string& started_in, const std::string& run);

/// The same of its data. Where `started_in` is empty, or leads to nothing, since the file was copied elsewhere, `data`
/// itself. `data` may be tar shards 'A/{000..127}.tar', and several places 'A::B'. Throws simclr::Error, which says
/// whose data it is, where they are in neither place.
std::string data_of_run(const std::string& data, const std::string& started_in, const std::string& run);

/// The same of its folder for caches, but never one of that name in the current folder, into which a program would
/// write. Empty where there is none, or it is not there: caches can be made anew.
std::string cache_of_run(const std::string& cache_dir, const std::string& started_in, const std::string& run);
