#pragma once

#include "run/option_table.h"

#include <simclr/core/error.h>
#include <simclr/data/pictures/augmentation.h>

#include <nlohmann/json.hpp>

#include <string>

/// What a configuration says of the views that an encoder was trained on.

/// The value of that name; throws simclr::Error, which calls it `what`, where there is none.
template <class T>
T named(const Names<T>& names, const std::string& name, const char* what) {
  for (const auto& [each, value] : names) {
    if (each == name) return value;
  }
  simclr::fail(what, " is ", name);
}

/// Size, mean and deviation of the views, without randomness, of the object "augmentation". Throws simclr::Error, or
/// what nlohmann does, where it lacks something or says the impossible.
simclr::data::Augmentation preprocessing_of(const nlohmann::ordered_json& augmentation);

/// Of so many channels the mean or the deviation is said: grey and RGB have three, of which grey uses one.
int said_of(int channels);
