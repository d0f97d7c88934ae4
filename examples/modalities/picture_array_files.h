#pragma once

#include <simclr/data/npy.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

/// What an array is by its name.
struct ArrayRole {
  std::string part;     // as part_name() calls it: "train", "test", "val", ...; empty: its name says none
  std::string content;  // "pictures", "labels"; empty: another name
  bool sure = true;     // not: "train" and "x_train_sat4", which are what they say where no other array is

  bool operator<(const ArrayRole& other) const { return std::tie(part, content) < std::tie(other.part, other.content); }
};

ArrayRole array_role(const std::string& name);

/// Arrays by names, in one .npz file or each in a .npy file.
class Arrays {
 public:
  /// `given`: FILE.npz, FILE.npy, with `beside` also those beside it that are named in the same way, a folder of .npy
  /// files or one that holds a single .npz file. Throws simclr::Error where there are none.
  explicit Arrays(const std::string& given, bool beside = true);

  const std::string& path() const { return path_; }
  const std::vector<std::string>& names() const { return names_; }
  bool zipped() const { return zipped_; }
  std::string file(const std::string& name) const { return files_.at(name); }
  /// The .npz files in the folder.
  std::vector<std::string> npzs() const;

  std::shared_ptr<const simclr::data::NpyArray> open(const std::string& name) const;

 private:
  void add_file(const std::string& path);

  const std::string path_;
  bool zipped_ = false;
  std::vector<std::string> names_;
  std::map<std::string, std::string> files_;
};

/// Whether `path` is an array file, or a folder that holds .npz files or .npy files by names that open_arrays() knows.
bool holds_arrays(const std::string& path);
/// Whether `path` is an .npz or .npy file by its name or first bytes.
bool is_array_file(const std::string& path);

/// The files that open_arrays() reads, by name in their folder.
std::vector<std::string> array_files(const std::string& path);
/// That folder.
std::string array_folder(const std::string& path);
