#pragma once

#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/torchvision.h>

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

/// A trained encoder and what its pictures go through.
struct EncoderFile {
  std::string path;                             // the file that was read
  simclr::nn::ResNetKind kind;                  // what the encoder is, as its weights say
  std::shared_ptr<simclr::nn::ResNet> encoder;  // with its weights, on the CPU
  simclr::data::Augmentation preprocessing;     // without randomness
  nlohmann::ordered_json config;                // of the run that made it

  /// One line: which network, from where, for which pictures.
  std::string describe() const;
};

/// Reads a run's folder (its final weights, else its newest checkpoint), a checkpoint or a weights file. Throws
/// simclr::Error where there is none, where a run has no weights yet, for a file that is not one of these, and for one
/// whose encoder holds NaN or Inf.
EncoderFile open_encoder(const std::string& run_or_file);

/// The configuration that weights need whose run is not at hand: what describes the encoder and its pictures.
nlohmann::ordered_json encoder_config(const simclr::nn::ResNetKind& kind,
                                      const simclr::data::Augmentation& preprocessing);
