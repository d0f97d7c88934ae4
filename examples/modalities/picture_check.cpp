#include "modalities/picture_check.h"

#include "run/progress.h"
#include "train/modality.h"

#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <span>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

template <class T>
bool is_grey(std::span<const T> pixels, std::int64_t channels) {
  if (channels < 3) return true;
  for (std::size_t i = 0; i + 2 < pixels.size(); i += static_cast<std::size_t>(channels)) {
    if (pixels[i] != pixels[i + 1] || pixels[i] != pixels[i + 2]) return false;
  }
  return true;
}

bool is_grey(const data::Sample& sample) {
  const std::int64_t channels = sample.shape[2];
  return simclr::kernels::dispatch_values(
      sample.dtype, [&](auto zero) { return is_grey(sample.values<decltype(zero)>(), channels); });
}

std::vector<std::uint8_t> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every threshold that is of pictures, with its reason.
struct Judge {
  nn::Stem stem_of;
  const data::Augmentation& a;
  const PictureFigures& p;
  const ChannelFigures& channels;
  Findings found = {};

  void say(std::string about, std::string problem, std::string remedy) {
    found.push_back({std::move(about), std::move(problem), std::move(remedy)});
  }

  /// A ResNet halves the side four times more behind the stem's 4 (imagenet) or 1 (cifar), the last time at stage 4.
  void stem() {
    if (stem_of == nn::Stem::imagenet && a.size <= 64) {
      say("stem",
          "the imagenet stem leaves " + std::to_string((a.size + 31) / 32) + " x " +
              std::to_string((a.size + 31) / 32) + " cells of a view of " + std::to_string(a.size) +
              " pixels; it is for 96 pixels and more",
          "--stem cifar");
    }
    if (stem_of == nn::Stem::cifar && a.size >= 96) {
      say("stem",
          "the cifar stem keeps views of " + std::to_string(a.size) +
              " pixels whole: 16 times the work of the imagenet stem, and each cell sees little of the picture",
          "--stem imagenet");
    }
  }

  void look() {
    if (p.looked_at == 0) return;
    if (a.size >= 2 * p.short_side) {
      say("size",
          "pictures of " + rounded(p.short_side) + " pixels are enlarged to views of " + std::to_string(a.size) +
              ", which costs time and shows nothing more",
          "--size " + rounded(std::max(8.0, p.short_side)));
    }
    const double smallest = std::sqrt(double{a.crop_area_min}) * p.short_side;
    if (smallest < 6) {  // CIFAR's 32 pixels at the paper's 0.08 give 9
      say("crop",
          "the smallest crop is " + rounded(smallest, 2) + " pixels wide (" + rounded(double{a.crop_area_min}) +
              " of the area of pictures of " + rounded(p.short_side) + " pixels): too little to recognise anything",
          "--crop-min " + rounded(std::min(1.0, std::pow(9.0 / p.short_side, 2)), 2));
    }
    find_copies(p.copies, p.looked_at, "picture", found);
  }

  void normalisation() {
    for (std::size_t c = 0; c < channels.mean.size(); ++c) {
      const double mean = channels.mean[c], stddev = channels.stddev[c];
      // Pixels in [0,1] as they are have a mean of 0.3 to 0.6 and a deviation of 0.2 to 0.35; normalised ones 0 and 1.
      if (stddev >= 0.05 && stddev <= 4 && std::abs(mean) <= 3) continue;
      say("normalisation",
          "channel " + std::to_string(c) + " of the views has mean " + rounded(mean) + " and deviation " +
              rounded(stddev) + ", far from 0 and 1 and from what pixels in [0,1] have",
          p.values.deep || !simclr::kernels::is_colour(a.channels)
              ? normalising(a, channels)
              : "\"mean\" and \"stddev\" under \"augmentation\" in "
                "--config; they are for pixels in [0,1], not 0 to 255");
      found.back().unusable = true;
      break;
    }
  }

  void augmentation(double difference) {
    if (difference >= LookedAt::least_difference) return;
    say("augmentation",
        "the two views of a picture hardly differ (" + rounded(difference, 2) +
            " of the difference between pictures), so there is nothing to learn from",
        "a lower --crop-min, more --brightness and --contrast");
    found.back().unusable = true;
  }
};

}  // namespace

ValueLook::ValueLook(const std::string& sample) : floats_(sample) {}

void ValueLook::add(const data::Sample& sample) {
  if (sample.dtype == simclr::DType::u16) {
    for (const std::uint16_t value : sample.values<std::uint16_t>()) ++counts_[value];
    all_ += sample.shape.numel();
  } else if (sample.dtype == simclr::DType::f32) {
    floats_.add(sample.values<float>());
    any_float_ = true;
  }
}

ValueRange ValueLook::values() const {
  ValueRange values{.deep = all_ > 0 || any_float_, .floats = floats_};
  if (all_ == 0) return values;
  const std::int64_t outside = all_ / 1000;
  std::int64_t below = counts_.front(), above = counts_.back();
  for (; below <= outside; below += counts_[static_cast<std::size_t>(values.low)]) ++values.low;
  for (; above <= outside; above += counts_[static_cast<std::size_t>(values.high)]) --values.high;
  return values;
}

PictureFigures look_at_pictures(const data::Dataset& pictures, std::int64_t most) {
  PictureFigures figures;
  std::vector<double> sides;
  ValueLook range("picture");
  figures.unread = look_at_some(pictures, most, [&](std::int64_t i) {
    const auto sample = pictures.sample(i);
    sides.push_back(static_cast<double>(std::min(sample.shape[0], sample.shape[1])));
    const std::string path = pictures.file(i);
    const std::vector<std::uint8_t> file = path.empty() ? std::vector<std::uint8_t>() : bytes_of(path);
    figures.copies.add(path.empty() ? sample.bytes : std::as_bytes(std::span(file)), i, pictures);
    range.add(sample);
    figures.grey = figures.grey && is_grey(sample);
    ++figures.looked_at;
  });
  figures.values = range.values();
  std::sort(sides.begin(), sides.end());
  if (!sides.empty()) figures.short_side = sides[sides.size() / 2];
  return figures;
}

ChannelFigures look_at_channels(const simclr::Tensor& views) {
  const auto x = views.to_vector<float>();
  const auto channels = static_cast<std::size_t>(views.dim(3));
  const std::size_t pixels = x.size() / channels;
  std::vector<double> sum(channels), squares(channels);
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum[i % channels] += double{x[i]};
    squares[i % channels] += double{x[i]} * double{x[i]};
  }
  ChannelFigures figures;
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sum[c] / static_cast<double>(pixels);
    figures.mean.push_back(mean);
    figures.stddev.push_back(std::sqrt(std::max(squares[c] / static_cast<double>(pixels) - mean * mean, 0.0)));
  }
  return figures;
}

std::string normalising(const data::Augmentation& policy, const ChannelFigures& channels) {
  std::string means, stddevs;
  for (std::size_t c = 0; c < channels.mean.size(); ++c) {
    // Of pixels in [0,1], which the policy has made these views of; an option takes no deviation below a thousandth.
    const double mean = channels.mean[c] * double{policy.stddev[c]} + double{policy.mean[c]};
    const double stddev = std::max(channels.stddev[c] * double{policy.stddev[c]}, 1e-3);
    means += (c == 0 ? "" : ",") + rounded(mean, 4);
    stddevs += (c == 0 ? "" : ",") + rounded(stddev, 4);
  }
  return "--mean " + means + " --stddev " + stddevs;
}

bool find_range(const std::string& sample, const ValueRange& values, const data::Augmentation& policy,
                const ChannelFigures& channels, Findings& findings) {
  const int low = values.low, high = values.high;
  const double share = (high - low) / 65535.0;
  const double outside = values.floats.outside();
  if (outside > data::FloatRange::much) {
    findings.push_back({.about = "range",
                        .problem = values.floats.text() + ": " + rounded(100 * outside) +
                                   " % lie outside of 0 to 1, and become 0 or 1",
                        .remedy = values.floats.remedy(),
                        .unusable = outside > 0.3});
  }
  if (share >= 0.3) return true;  // more than two of 16 bits would be empty
  // Dark pictures with differences of their own size: brightness and contrast work, and the options do the rest.
  const bool dark = low <= high - low;
  if (dark && *std::min_element(channels.stddev.begin(), channels.stddev.end()) >= 0.3) return true;
  findings.push_back(
      {.about = "range",
       .problem = "the 16-bit " + sample + "s fill " + rounded(100 * share, 1) + " % of their range, " +
                  std::to_string(low) + " to " + std::to_string(high) +
                  " of 65535: the views are nearly of one grey, which brightness and contrast then move further than "
                  "they differ",
       .remedy = (dark ? normalising(policy, channels) + ", or stretch" : std::string("stretch")) +
                 " them over the whole range first: (value - " + std::to_string(low) + ") * 65535 / " +
                 std::to_string(std::max(1, high - low)),
       .unusable = true});
  return false;
}

Findings picture_findings(nn::Stem stem, const data::Augmentation& policy, const PictureFigures& pictures,
                          const ChannelFigures& channels, double difference) {
  Judge judge{stem, policy, pictures, channels};
  find_unread(pictures.unread, pictures.looked_at, "picture", judge.found);
  judge.stem();
  judge.look();
  if (find_range("picture", pictures.values, policy, channels, judge.found)) {
    judge.normalisation();
    judge.augmentation(difference);
  }
  return std::move(judge.found);
}
