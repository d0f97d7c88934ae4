// The names that options take of layers and optimizers, neither of which the fuzz targets build.
#include "recipes/recipe.h"

#include <simclr/nn/resnet.h>

std::vector<std::string> simclr::nn::resnet_names() {
  return {"resnet18", "resnet34", "resnet50"};
}

const std::vector<OptimizerKind>& optimizer_kinds() {
  static const std::vector<OptimizerKind> all = {
      {"sgd", 0, 1, "", nullptr}, {"lars", 0, 1, "", nullptr}, {"adamw", 0, 1, "", nullptr}};
  return all;
}
