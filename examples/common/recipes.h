#pragma once

#include <simclr/data/augmentation.h>
#include <simclr/nn/resnet.h>

#include <string>
#include <vector>

/// A whole training recipe. The named ones are defined once, in recipes.cpp; programs, benchmarks, tests and
/// documents all read them from there.
struct Recipe {
  std::string name;
  std::string description;

  std::string arch = "resnet18";
  std::int64_t width = 64;
  simclr::nn::Stem stem = simclr::nn::Stem::cifar;
  std::int64_t head_hidden = 0;  // 0: as wide as the features
  std::int64_t head_out = 128;
  int head_layers = 2;
  bool head_batchnorm = true;

  int epochs = 100;
  std::int64_t batch_size = 512;  // images; each gives two views
  std::string optimizer = "sgd";  // sgd, lars or adamw
  double lr = 0.03;               // at 256 images a batch; the peak is lr * batch_size / 256
  double momentum = 0.9;
  double weight_decay = 5e-4;
  int warmup_epochs = 0;
  double temperature = 0.5;

  int size = 0;  // side of a view in pixels; 0: what suits the data set
  simclr::data::Augmentation augmentation;
};

/// All named recipes, `quick` first.
const std::vector<Recipe>& recipes();
/// The recipe of that name; throws simclr::Error that lists the names.
const Recipe& recipe(const std::string& name);
