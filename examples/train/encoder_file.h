#pragma once

#include "train/modality.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

/// A trained encoder and what its samples go through.
struct EncoderFile {
  std::string path;                             // the file that was read
  std::shared_ptr<simclr::nn::Module> encoder;  // with its weights, on the CPU; of open_tower() with its head
  simclr::data::Tower tower;                    // its views, without randomness
  nlohmann::ordered_json config;                // of the run that made it
  std::string cache_dir;                        // of that run, where it is there: cache_of_run()
  std::string description;                      // one line: which network, from where, for which samples
};

/// Reads a run's folder (its final weights, else its newest checkpoint), a checkpoint or a weights file; of several
/// towers the encoder of `tower`, or unless that is given of the first that is of this kind. The configuration in it
/// says what the encoder is: `modality` becomes what that says, and the weights only have to fit. Throws simclr::Error
/// where there is none, where a run has no weights yet, for a file that is not one of these, for one of another
/// modality, and for one whose encoder holds NaN or Inf.
EncoderFile open_encoder(const std::string& run_or_file, Modality& modality, int tower = -1);

/// Lets `modality` take what it keeps in weights (Modality::kept_in_weights()) from a run that goes on: from the newest
/// of its files that can be read. Nothing where the run has no such file yet.
void take_kept_of_run(const std::string& run, Modality& modality);

/// The same of one of a model's towers and with its projection head, which gives z, what the loss saw; of several towers
/// that is where they are compared. `tower` from 0 on; throws for one that there is not, too.
EncoderFile open_tower(const std::string& run_or_file, Modality& modality, int tower);

/// The configuration of weights, before it is known what kind of data they are of; where it cannot be read an empty
/// one: whoever opens them says what is wrong. Throws simclr::Error for what is missing or holds no tensors.
nlohmann::ordered_json config_of_weights(const std::string& run_or_file);
