#pragma once

#include <simclr/nn/optim.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A training run's state in safetensors files, so that it can go on to the same bits. The model's tensors have their
/// names in Module::state(), the optimizer's begin with "optimizer.": a checkpoint serves as a weights file too.
namespace simclr::nn {

using Metadata = std::map<std::string, std::string>;

/// Writes all of it, or leaves the file as it was. `metadata` is the program's own: epoch, configuration and so on.
/// Throws Error where a tensor of the model is called "optimizer....", where anything is NaN or Inf or the optimizer
/// has refused an update for that (Optimizer::bad_step), and when the disk refuses.
SIMCLR_API void save_checkpoint(const std::filesystem::path& path, const Module& model, const Optimizer& optimizer,
                                const Metadata& metadata = {});

/// Reads it into a model and an optimizer of the same shapes; returns the metadata. Throws Error for a file that is
/// damaged, does not fit or has NaN or Inf among the model's tensors; the model may then be changed.
SIMCLR_API Metadata load_checkpoint(const std::filesystem::path& path, Module& model, Optimizer& optimizer);

/// Optimizers by name, as of an encoder and a head with learning rates of their own.
using Optimizers = std::map<std::string, Optimizer*>;

/// The same with several optimizers, whose tensors begin with "optimizer.NAME.":
/// save_checkpoint(path, model, {{"encoder", &first}, {"head", &second}}). Names are not empty and have no dot.
SIMCLR_API void save_checkpoint(const std::filesystem::path& path, const Module& model, const Optimizers& optimizers,
                                const Metadata& metadata = {});
/// Reads that back. Throws Error, too, where the file holds other optimizers than these.
SIMCLR_API Metadata load_checkpoint(const std::filesystem::path& path, Module& model, const Optimizers& optimizers);

/// A checkpoint's metadata, without its values. Throws Error for a file that is damaged: all of it is read.
SIMCLR_API Metadata read_checkpoint_metadata(const std::filesystem::path& path);

/// A folder of checkpoints: step-00001234.safetensors and so on, the last few, and best.safetensors.
class SIMCLR_API CheckpointFolder {
 public:
  struct File {
    std::int64_t step = 0;
    std::filesystem::path path;
  };

  /// `keep`: how many of the last to keep, at least 1. The folder is made when something is saved.
  explicit CheckpointFolder(std::filesystem::path folder, int keep = 3);

  /// What is there, newest first; best.safetensors and names that are not of this form (step-5.safetensors) left out.
  std::vector<File> list() const;

  /// Saves under the optimizer's step, then removes what is older than the last `keep`. `best`: also becomes
  /// best.safetensors. Nothing is replaced or removed before the new file has been read back and its digest is right.
  /// What load_newest() could not read is renamed to unreadable-..., what it found under the name of a later step to
  /// later-.... Throws Error as save_checkpoint does, and where the file does not read back; what was there before is
  /// then still there.
  void save(const Module& model, const Optimizer& optimizer, const Metadata& metadata, bool best = false);

  /// Loads the newest one that can be read, and says of each that cannot; empty where there is no file. Throws Error
  /// where there are some, but none can be read. Changes no file.
  std::optional<Metadata> load_newest(Module& model, Optimizer& optimizer,
                                      const std::function<void(const std::string&)>& on_warning = {});

  /// Removes the folder's own files: checkpoints, the best one, those put aside and what a killed save left. Others
  /// stay, and the folder with them. Throws Error where one cannot be removed.
  void clear() const;

 private:
  void save_proven(const std::filesystem::path& path, const Module& model, const Optimizer& optimizer,
                   const Metadata& metadata) const;
  void put_aside(std::vector<std::filesystem::path>& files, std::string_view prefix) const;
  void look_at_best(const std::function<void(const std::string&)>& on_warning);
  void set_aside_beyond(std::int64_t step, const std::vector<File>& files,
                        const std::function<void(const std::string&)>& on_warning);

  std::filesystem::path folder_;
  int keep_;
  std::vector<std::filesystem::path> unreadable_, later_;  // found by load_newest()
};

}  // namespace simclr::nn
