#pragma once

#include "train/looked_at.h"

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/float_range.h>
#include <simclr/nn/resnet.h>

#include <cstdint>
#include <string>
#include <vector>

/// What --check sees of pictures.

/// What the values of samples of more than 8 bits fill of their range.
struct ValueRange {
  bool deep = false;                // some are of more than 8 bits
  simclr::data::FloatRange floats;  // of the f32 ones' values
  int low = 0, high = 65535;        // of the 16-bit ones' values all but a thousandth on either side; without any: all
};
class ValueLook {
 public:
  explicit ValueLook(const std::string& sample);  // what one is called: "picture"
  /// A picture, or a clip's frame.
  void add(const simclr::data::Sample& sample);
  ValueRange values() const;

 private:
  std::vector<std::int64_t> counts_ = std::vector<std::int64_t>(65536);
  std::int64_t all_ = 0;
  simclr::data::FloatRange floats_;
  bool any_float_ = false;
};

/// Of some of a set's pictures.
struct PictureFigures {
  std::int64_t looked_at = 0;  // and read
  Unread unread = {};          // more that were looked at
  Copies copies = {};          // by the file, or where a set has no files by the picture
  double short_side = 0;       // the median's, in pixels
  bool grey = true;            // all of them
  ValueRange values = {};
};
/// Looks at `most` of them, evenly over the set.
PictureFigures look_at_pictures(const simclr::data::Dataset& pictures, std::int64_t most);

/// Of views, each channel's.
struct ChannelFigures {
  std::vector<double> mean, stddev;
};
/// `views` [N,S,S,C] f32 on the CPU.
ChannelFigures look_at_channels(const simclr::Tensor& views);

/// The options that make these views' mean 0 and deviation 1 in each channel: "--mean 0.2,0.1 --stddev 0.3,0.2". The
/// policy is the one they were made by.
std::string normalising(const simclr::data::Augmentation& policy, const ChannelFigures& channels);

/// What looks wrong with what samples fill of their range, whose views the policy has made. False: they are nearly of
/// one grey, which explains whatever else is wrong with the views.
bool find_range(const std::string& sample, const ValueRange& values, const simclr::data::Augmentation& policy,
                const ChannelFigures& channels, Findings& findings);

/// What looks wrong with these pictures, and with their views by `policy` for a network with this stem. `difference` as
/// LookedAt has it.
Findings picture_findings(simclr::nn::Stem stem, const simclr::data::Augmentation& policy,
                          const PictureFigures& pictures, const ChannelFigures& channels, double difference);
