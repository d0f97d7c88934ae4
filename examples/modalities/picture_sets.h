#pragma once

#include "train/datasets.h"

#include <simclr/data/pictures/picture_channels.h>

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

/// Data sets of pictures, and which views suit them.
struct PictureSets : Datasets {
  PictureSets() { sample_name = "picture"; }

  /// Takes what a look at the pictures of `place` found: channels, and what is said of them.
  void take(const simclr::data::PictureChannels& found, const std::string& place);
  /// Of floating-point pictures of `place` whose values are not those of 0 to 1.
  void warn_of_values(const simclr::data::PictureChannels& found, const std::string& place);

  int size = 32;       // the side of a view
  int channels = 3;    // of a view
  bool mixed = false;  // some of the pictures that were looked at have other channels
};

/// "are grey or RGB, the encoder is for 6 channels", of pictures for views of `channels` channels.
std::string other_channels(int channels, int encoder);

/// Throws simclr::Error where an encoder for views of so many channels cannot see the pictures of `sets`, which lie in
/// `dir`; empty: the usual places.
void check_channels(const PictureSets& sets, const std::string& dir, int encoder);

/// What --dataset takes.
const std::vector<std::string>& dataset_kinds();

/// `kind`: one of dataset_kinds(). `dir` is where it lies; empty: the usual places; of pictures it names a folder, a
/// list (picture_table.h) or several of them (picture_places.h), of tar shards those (picture_shards.h), whose index is
/// kept in `cache_dir`. auto takes what it finds in `dir`; without one CIFAR-10, else Fashion-MNIST; the result's
/// `kind` says which. Of a folder of pictures its parts are taken (picture_parts.h); without a test part a fifth of the
/// labelled pictures is kept for the evaluation. Pictures of a single class count as unlabelled. A test part that
/// cannot be used costs the evaluation only (test_part.h). `classes_at` is image_folder()'s. Throws simclr::Error with
/// what is missing and how to get it.
PictureSets open_datasets(const std::string& kind, const std::string& dir, int classes_at = 1,
                          const std::string& cache_dir = {});

/// The same, for programs that need labels to train and to test on: `train` are the labelled pictures. Throws
/// simclr::Error where there are none.
PictureSets open_labelled(const std::string& kind, const std::string& dir, int classes_at = 1,
                          const std::string& cache_dir = {});

/// The folder that open_datasets() looks into for this kind (not auto); `dir` where it is given.
std::string data_place(const std::string& kind, const std::string& dir);

/// Where `kind` is auto and `dir` empty, puts what the run `run` with this configuration trained on in their place;
/// leaves them where it names no data set. Throws as data_of_run().
void prefer_data_set_of(const nlohmann::ordered_json& config, const std::string& run, std::string& kind,
                        std::string& dir, int& classes_at);
