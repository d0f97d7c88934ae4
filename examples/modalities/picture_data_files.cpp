#include "modalities/picture_data_files.h"

#include "modalities/picture_sets.h"
#include "train/data_files.h"

#include <simclr/data/pictures/picture_list.h>

namespace {

/// Whether a file is data of a kind that is known by its files' names.
bool is_data(const std::string& kind, const std::string& name) {
  if (kind == "cifar10")
    return name.ends_with("_batch.bin") || (name.starts_with("data_batch_") && name.ends_with(".bin"));
  if (kind == "cifar100") return name == "train.bin" || name == "test.bin";
  return name.find("-ubyte") != std::string::npos;
}

}  // namespace

nlohmann::ordered_json list_picture_files(const std::string& kind, const std::string& dir) {
  const std::string place = data_place(kind, dir);
  if (kind == "folder") return list_data_files(place, simclr::data::list_pictures(place).files);
  return list_data_files(place, [&kind](const std::string& name) { return is_data(kind, name); });
}
