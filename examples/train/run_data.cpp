#include "train/run_data.h"

#include "run/command_line.h"
#include "run/data_places.h"
#include "run/option_file.h"
#include "run/run_folder.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/shards.h>
#include <simclr/nn/checkpoint.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;

namespace {

/// Of a pattern, and of what idx files' names begin with ("emnist-letters"): whether any of the files is.
bool is_there(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path, error)) return true;
  if (path.string().find('{') == std::string::npos) {
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    const auto files = fs::directory_iterator(folder, error);
    return std::any_of(begin(files), end(files), [&](const fs::directory_entry& file) {
      const std::string name = file.path().filename().string();
      return name.starts_with(path.filename().string() + "-") && name.find("-ubyte") != std::string::npos &&
             file.is_regular_file(error);
    });
  }
  const auto paths = simclr::data::expand_braces(path.string());
  return std::any_of(paths.begin(), paths.end(), [&error](const auto& each) { return fs::exists(each, error); });
}

/// The folder of a run, of which `run` may be a file.
fs::path folder_of(const std::string& run) {
  std::error_code error;
  const fs::path path = whole_path(run);
  if (fs::is_directory(path, error)) return path;
  const fs::path folder = path.parent_path();
  return folder.filename() == checkpoint_folder ? folder.parent_path() : folder;
}

bool relative(const std::string& path) {
  return !path.empty() && !fs::path(path).is_absolute();
}

}  // namespace

std::string started_in(const std::string& data, const std::string& other, const std::string& run) {
  std::vector<std::string> places = split_places(data);
  places.push_back(other);
  if (std::none_of(places.begin(), places.end(), relative)) return "";
  const fs::path here = whole_path("."), path = here.lexically_relative(folder_of(run));
  return utf8((path.empty() ? here : path).generic_string());
}

std::string started_in_from(const std::string& started_in, const std::string& run, const std::string& other) {
  fs::path folder = (folder_of(run) / started_in).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "a/b/.." has become "a/"
  return utf8(folder.lexically_relative(folder_of(other)).generic_string());
}

void add_started_in(nlohmann::ordered_json& config, const std::string& run) {
  if (!config.is_object() || config.contains(started_in_key)) return;  // finetune's weights have another run's data
  nlohmann::ordered_json beside;
  try {
    beside = read_config((folder_of(run) / "config.json").string());
  } catch (const simclr::Error&) {
    return;  // the weights do without it
  }
  if (!beside.contains(started_in_key)) return;
  const auto data_in = [](const nlohmann::ordered_json& json) { return json.value("data", nlohmann::ordered_json()); };
  if (data_in(beside) == data_in(config)) config[started_in_key] = beside[started_in_key];
}

nlohmann::ordered_json data_files_of_run(const std::string& run) {
  for (const auto& checkpoint : simclr::nn::CheckpointFolder(folder_of(run) / checkpoint_folder).list()) {
    try {
      return nlohmann::ordered_json::parse(simclr::nn::read_checkpoint_metadata(checkpoint.path).at("data"));
    } catch (const std::exception&) {  // an older one may do
    }
  }
  return nullptr;
}

std::string path_of_run(const std::string& path, const std::string& started_in, const std::string& run) {
  if (started_in.empty() || !relative(path)) return path;
  const fs::path far = (folder_of(run) / started_in / path).lexically_normal();
  const fs::path near = far.lexically_relative(whole_path("."));
  if (near == fs::path(path).lexically_normal()) return path;  // it was begun here: the path stays as written
  const bool shorter = !near.empty() && near.string().size() < far.string().size();
  return (shorter ? near : far).string();
}

std::string data_of_run(const std::string& data, const std::string& started_in, const std::string& run) {
  if (data.empty()) return data;  // the usual places
  std::vector<std::string> found;
  for (const std::string& place : split_places(data)) {
    std::string path = path_of_run(place, started_in, run);
    if (!is_there(path)) path = place;
    SIMCLR_CHECK(is_there(path), simclr::printable(run), ": was trained on ", simclr::printable(place),
                 ", which is not there; say by --data where it lies now");
    found.push_back(path);
  }
  return simclr::joined(found, "::");
}

std::string cache_of_run(const std::string& cache_dir, const std::string& started_in, const std::string& run) {
  if (started_in.empty() && relative(cache_dir)) return "";  // the current folder's is another one
  std::error_code error;
  const std::string path = path_of_run(cache_dir, started_in, run);
  return fs::is_directory(path, error) ? path : "";
}
