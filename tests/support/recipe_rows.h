#pragma once

// A published recipe beside its source, field by field: what a run's config.json says, what the source has, and where
// it stands there. A key that config.json gains has to be looked up in each source.

#include "modalities/pictures.h"
#include "support/catch.h"
#include "train/training_config.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace simclr::test {

using Json = nlohmann::ordered_json;

/// What is of the run, the machine or the evaluation, and no part of a recipe.
inline const std::set<std::string> of_the_run = {
    "version", "modality", "preset", "dataset", "data", "limit", "cache_gb", "cache_dir", "seed", "device", "dtype",
    "views_on", "graph", "wgmma", "threads", "workers", "knn_every", "knn_samples", "knn_k", "evaluation",
    "checkpoint_minutes", "keep_checkpoints", "hold_out", "classes_at", "micro_batch", "probe_epochs",
    "knn_temperature", "shuffle_block",
    // Operations that no source has: rotation is off in all of them.
    "augmentation.rotation_degrees",
    // Of other losses than NT-Xent, which all sources have.
    "class_prior", "hardness", "dclw_sigma",
    // SimCLR, and gradients as they are, in all of them; the number of classes is filled in from the data.
    "method", "classes", "clip_grad_norm",
    // Filled in from the data: CIFAR's 32 x 32 pixels in colour, the default.
    "augmentation.size", "augmentation.channels", "size"};

struct RecipeRow {
  const char* key;
  Json source;
  const char* where;
};

/// Every field of the recipe as config.json has it, "augmentation.hue" for those of a group.
inline std::map<std::string, Json> recipe_fields(const std::string& name) {
  TrainingOptions o;
  Pictures pictures;
  use_recipe(o, pictures, name);
  std::map<std::string, Json> out;
  const Json json = to_json(o, pictures);
  for (const auto& [key, value] : json.items()) {
    if (!value.is_object()) out[key] = value;
    if (!value.is_object()) continue;
    for (const auto& [inner, each] : value.items()) out[key + "." + inner] = each;
  }
  for (const std::string& key : of_the_run) out.erase(key);
  return out;
}

inline void compare_recipe(const std::string& name, const std::vector<RecipeRow>& rows) {
  auto ours = recipe_fields(name);
  CHECK(ours["loss"] == "nt-xent");
  ours.erase("loss");
  for (const RecipeRow& row : rows) {
    INFO(name << ", " << row.key << ": " << row.where);
    REQUIRE(ours.contains(row.key));
    CHECK(ours[row.key] == row.source);
    ours.erase(row.key);
  }
  for (const auto& [key, value] : ours) FAIL_CHECK(name << ": " << key << " = " << value << " stands beside nothing");
}

}  // namespace simclr::test
