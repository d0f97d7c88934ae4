// The names that options take of data sets, layers, methods, losses and optimizers, none of which the fuzz targets
// build.
#include "modalities/picture_sets.h"
#include "recipes/recipe.h"

#include <simclr/nn/resnet.h>

const std::vector<std::string>& dataset_kinds() {
  static const std::vector<std::string> all = {"auto", "cifar10", "folder"};
  return all;
}

std::vector<std::string> simclr::nn::resnet_names() {
  return {"resnet18", "resnet34", "resnet50"};
}

const std::vector<OptimizerKind>& optimizer_kinds() {
  static const std::vector<OptimizerKind> all = {
      {"sgd", 0, 1, "", nullptr}, {"lars", 0, 1, "", nullptr}, {"adamw", 0, 1, "", nullptr}};
  return all;
}

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> all = {"simclr", "supcon"};
  return all;
}

const std::vector<std::string>& loss_names() {
  static const std::vector<std::string> all = {"nt-xent", "dcl"};
  return all;
}
