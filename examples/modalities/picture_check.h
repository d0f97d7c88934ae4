#pragma once

#include "run/findings.h"

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/resnet.h>

#include <cstdint>
#include <vector>

/// What --check sees of pictures.

/// Of some of a set's pictures.
struct PictureFigures {
  std::int64_t looked_at = 0;
  std::int64_t repeated = 0;  // the file, or where a set has no files the picture, has the same bytes as one before
  double short_side = 0;      // the median's, in pixels
  bool grey = true;           // all of them
  int low = 0, high = 65535;  // of the 16-bit ones' values all but a thousandth on either side; without any: all
};
PictureFigures look_at_pictures(const simclr::data::Dataset& pictures, std::int64_t most);

/// Of views, each channel's.
struct ChannelFigures {
  std::vector<double> mean, stddev;
};
/// `views` [N,S,S,C] f32 on the CPU.
ChannelFigures look_at_channels(const simclr::Tensor& views);

/// What looks wrong with these pictures, and with their views by `policy` for a network with this stem. `difference` as
/// LookedAt has it.
Findings picture_findings(simclr::nn::Stem stem, const simclr::data::Augmentation& policy,
                          const PictureFigures& pictures, const ChannelFigures& channels, double difference);
