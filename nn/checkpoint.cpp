#include <simclr/core/posix.h>
#include <simclr/core/serialize.h>
#include <simclr/nn/checkpoint.h>
#include <simclr/nn/inspect.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <system_error>
#include <utility>

namespace simclr::nn {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view optimizer_prefix = "optimizer.";
constexpr std::string_view file_prefix = "step-";
constexpr std::string_view file_suffix = ".safetensors";
constexpr std::string_view half_written = ".safetensors.simclr-tmp";  // of a save that was killed (see AtomicFile)
constexpr std::string_view unreadable_prefix = "unreadable-";
constexpr std::string_view later_prefix = "later-";
constexpr const char* best_name = "best.safetensors";
constexpr const char* unproven_name = "unproven.safetensors";  // until it has been read back

std::string name_of(std::int64_t step) {
  char text[64];
  std::snprintf(text, sizeof text, "step-%08lld.safetensors", static_cast<long long>(step));
  return text;
}

/// The step in a checkpoint's file name; -1: not one of ours, as step-5.safetensors.
std::int64_t step_of(const std::string& name) {
  if (!name.starts_with(file_prefix) || !name.ends_with(file_suffix)) return -1;
  std::int64_t step = -1;
  std::from_chars(name.data() + file_prefix.size(), name.data() + name.size() - file_suffix.size(), step);
  return step >= 0 && name == name_of(step) ? step : -1;
}

/// Whether put_aside() gives a file this name: unreadable-step-00000005.safetensors, later-2-step-....
bool is_aside_name(std::string_view name) {
  const std::string_view prefix = name.starts_with(later_prefix) ? later_prefix : unreadable_prefix;
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  if (const std::size_t digits = name.find_first_not_of("0123456789"); digits > 0 && digits < name.size()) {
    if (name[digits] == '-') name.remove_prefix(digits + 1);
  }
  return name == best_name || step_of(std::string(name)) >= 0;
}

/// Renames within a folder, and makes sure that the new name is on the disk before anything older goes.
void rename_and_flush(const fs::path& from, const fs::path& to) {
  const char* problem =
      ::rename(from.c_str(), to.c_str()) != 0 ? "cannot be given its name" : posix::flush_folder_of(to);
  const int error = errno;
  SIMCLR_CHECK(problem == nullptr, "checkpoints: ", to.string(), ": ", problem, ": ",
               std::generic_category().message(error));
}

/// What opens the names of an optimizer's tensors.
template <class O>
using Prefixed = std::vector<std::pair<std::string, O*>>;

void save(const fs::path& path, const Module& model, const Prefixed<const Optimizer>& optimizers,
          const Metadata& metadata) {
  std::vector<NamedTensor> tensors = model.state();
  for (const NamedTensor& tensor : tensors) {
    SIMCLR_CHECK(!tensor.name.starts_with(optimizer_prefix), "save_checkpoint: the model has a tensor called ",
                 tensor.name, "; rename it, the optimizer's state is kept under that name");
  }
  check_finite("save_checkpoint", tensors, ", so nothing is saved; go back to an earlier checkpoint");
  for (const auto& [prefix, optimizer] : optimizers) {
    for (NamedTensor& tensor : optimizer->state()) tensors.push_back({prefix + tensor.name, tensor.value});
  }
  save_tensors(path, tensors, metadata);
}

/// Takes out of `states` those whose names begin with `prefix`, which is left off.
std::vector<NamedTensor> take(std::vector<NamedTensor>& states, const std::string& prefix) {
  std::vector<NamedTensor> taken;
  std::erase_if(states, [&](const NamedTensor& tensor) {
    if (!tensor.name.starts_with(prefix)) return false;
    taken.push_back({tensor.name.substr(prefix.size()), tensor.value});
    return true;
  });
  return taken;
}

Metadata load(const fs::path& path, Module& model, const Prefixed<Optimizer>& optimizers) {
  TensorFile file = load_tensors(path, {.require_digest = true});
  std::vector<NamedTensor> weights, states;
  for (NamedTensor& tensor : file.tensors) {
    (tensor.name.starts_with(optimizer_prefix) ? states : weights).push_back(std::move(tensor));
  }
  const std::string where = "load_checkpoint " + path.string();
  SIMCLR_CHECK(!states.empty(), where, ": it holds weights only, so training cannot go on from it");
  check_finite(where, weights, "; use an earlier checkpoint");
  std::vector<std::vector<NamedTensor>> taken;
  for (const auto& [prefix, optimizer] : optimizers) {
    taken.push_back(take(states, prefix));
    SIMCLR_CHECK(!taken.back().empty(), where, ": it holds no state of ", prefix, "; its first is ",
                 states.empty() ? "another's" : states.front().name);
  }
  SIMCLR_CHECK(states.empty(), where, ": it holds ", states.front().name, " and ", states.size() - 1,
               " more of an optimizer that is not given");
  try {
    for (std::size_t i = 0; i < optimizers.size(); ++i) optimizers[i].second->load_state(taken[i]);
    model.load_state(weights);
  } catch (const Error& error) {
    fail(where, ": ", error.what());
  }
  return std::move(file.metadata);
}

template <class O>
Prefixed<O> prefixed(const char* who, const Optimizers& optimizers) {
  SIMCLR_CHECK(!optimizers.empty(), who, ": no optimizers are given");
  Prefixed<O> out;
  for (const auto& [name, optimizer] : optimizers) {
    SIMCLR_CHECK(!name.empty() && name.find('.') == std::string::npos, who, ": an optimizer is called '", name,
                 "'; its name must not be empty and have no dot");
    SIMCLR_CHECK(optimizer != nullptr, who, ": optimizer ", name, " is null");
    out.emplace_back(std::string(optimizer_prefix) + name + ".", optimizer);
  }
  return out;
}

}  // namespace

void save_checkpoint(const fs::path& path, const Module& model, const Optimizer& optimizer, const Metadata& metadata) {
  save(path, model, {{std::string(optimizer_prefix), &optimizer}}, metadata);
}

Metadata load_checkpoint(const fs::path& path, Module& model, Optimizer& optimizer) {
  return load(path, model, {{std::string(optimizer_prefix), &optimizer}});
}

void save_checkpoint(const fs::path& path, const Module& model, const Optimizers& optimizers,
                     const Metadata& metadata) {
  save(path, model, prefixed<const Optimizer>("save_checkpoint", optimizers), metadata);
}

Metadata load_checkpoint(const fs::path& path, Module& model, const Optimizers& optimizers) {
  return load(path, model, prefixed<Optimizer>("load_checkpoint", optimizers));
}

Metadata read_checkpoint_metadata(const fs::path& path) {
  return load_tensors(path, {.skip = [](const std::string&) { return true; }, .require_digest = true}).metadata;
}

CheckpointFolder::CheckpointFolder(fs::path folder, int keep) : folder_(std::move(folder)), keep_(keep) {
  SIMCLR_CHECK(keep_ >= 1, "checkpoints: keep ", keep_, ", at least 1 must be kept");
}

std::vector<CheckpointFolder::File> CheckpointFolder::list() const {
  std::vector<File> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    const std::int64_t step = step_of(entry->path().filename().string());
    if (step >= 0) files.push_back({step, entry->path()});
  }
  SIMCLR_CHECK(!error || error == std::errc::no_such_file_or_directory, "checkpoints: cannot list ", folder_.string(),
               ": ", error.message());
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.step > b.step; });
  return files;
}

void CheckpointFolder::save_proven(const fs::path& path, const Module& model, const Optimizer& optimizer,
                                   const Metadata& metadata) const {
  const fs::path unproven = folder_ / unproven_name;
  save_checkpoint(unproven, model, optimizer, metadata);
  try {
    read_checkpoint_metadata(unproven);
  } catch (const Error& error) {
    std::error_code ignored;
    fs::remove(unproven, ignored);
    fail("checkpoints: what was just saved does not read back, and nothing older was removed; check the disk: ",
         error.what());
  }
  rename_and_flush(unproven, path);
}

void CheckpointFolder::put_aside(std::vector<fs::path>& files, std::string_view prefix) const {
  for (const fs::path& path : files) {
    std::error_code error;
    fs::path aside = folder_ / (std::string(prefix) + path.filename().string());
    for (int n = 2; fs::exists(fs::symlink_status(aside, error)); ++n) {
      aside = folder_ / (std::string(prefix) + std::to_string(n) + "-" + path.filename().string());
    }
    fs::rename(path, aside, error);
    SIMCLR_CHECK(!error || error == std::errc::no_such_file_or_directory, "checkpoints: ", path.string(),
                 ": cannot be renamed: ", error.message());
  }
  files.clear();
}

void CheckpointFolder::save(const Module& model, const Optimizer& optimizer, const Metadata& metadata, bool best) {
  std::error_code error;
  fs::create_directories(folder_, error);
  SIMCLR_CHECK(!error, "checkpoints: cannot make the folder ", folder_.string(), ": ", error.message());
  put_aside(unreadable_, unreadable_prefix);
  put_aside(later_, later_prefix);
  const fs::path path = folder_ / name_of(optimizer.steps());
  save_proven(path, model, optimizer, metadata);
  if (best) {
    // A second name for the same bytes; where the file system has no links, a second file.
    const fs::path linked = folder_ / (std::string(best_name) + ".link");
    fs::remove(linked, error);
    fs::create_hard_link(path, linked, error);
    if (!error) fs::rename(linked, folder_ / best_name, error);
    if (error) save_proven(folder_ / best_name, model, optimizer, metadata);
  }
  std::vector<File> files = list();
  std::erase_if(files, [&optimizer](const File& file) { return file.step > optimizer.steps(); });
  for (std::size_t i = static_cast<std::size_t>(keep_); i < files.size(); ++i) {
    fs::remove(files[i].path, error);  // one that stays does no harm
  }
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name.find(half_written) != std::string::npos) fs::remove(entry->path(), ignored);
  }
}

void CheckpointFolder::clear() const {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool ours = step_of(name) >= 0 || name == best_name || name == unproven_name ||
                      name == std::string(best_name) + ".link" || name.find(half_written) != std::string::npos ||
                      is_aside_name(name);
    if (ours) found.push_back(entry->path());
  }
  for (const fs::path& path : found) {
    fs::remove(path, error);
    SIMCLR_CHECK(!error, path.string(), ": cannot be removed: ", error.message());
  }
  fs::remove(folder_, error);  // fails where something of the user's is in it
}

void CheckpointFolder::look_at_best(const std::function<void(const std::string&)>& on_warning) {
  const fs::path best = folder_ / best_name;
  std::error_code error;
  if (!fs::exists(best, error)) return;
  try {
    read_checkpoint_metadata(best);
  } catch (const Error& problem) {
    unreadable_.push_back(best);
    if (on_warning) on_warning(std::string(problem.what()) + "; going on without it");
  }
}

void CheckpointFolder::set_aside_beyond(std::int64_t step, const std::vector<File>& files,
                                        const std::function<void(const std::string&)>& on_warning) {
  for (const File& file : files) {
    if (file.step <= step || std::find(unreadable_.begin(), unreadable_.end(), file.path) != unreadable_.end())
      continue;
    later_.push_back(file.path);
    if (on_warning) {
      on_warning("checkpoints: going on from step " + std::to_string(step) + ", so " + file.path.string() +
                 " is kept under another name");
    }
  }
}

std::optional<Metadata> CheckpointFolder::load_newest(Module& model, Optimizer& optimizer,
                                                      const std::function<void(const std::string&)>& on_warning) {
  const std::vector<File> files = list();
  std::string first_problem;
  unreadable_.clear();
  later_.clear();
  for (const File& file : files) {
    try {
      Metadata metadata = load_checkpoint(file.path, model, optimizer);
      look_at_best(on_warning);
      set_aside_beyond(optimizer.steps(), files, on_warning);
      return metadata;
    } catch (const Error& error) {
      unreadable_.push_back(file.path);
      if (first_problem.empty()) first_problem = error.what();
      if (on_warning) on_warning(std::string(error.what()) + "; trying the one before");
    }
  }
  SIMCLR_CHECK(files.empty(), "checkpoints: none of the ", files.size(), " in ", folder_.string(),
               " can be used. The newest: ", first_problem);
  return std::nullopt;
}

}  // namespace simclr::nn
