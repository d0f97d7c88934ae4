#pragma once

#include "report/report.h"
#include "train/out_of_memory.h"
#include "train/training.h"

#include <simclr/nn/inspect.h>

#include <cstdint>
#include <string>
#include <vector>

/// What --check measures before a run.

/// Of some of the training pictures.
struct PictureFigures {
  std::int64_t looked_at = 0;
  std::int64_t repeated = 0;  // the file, or where a set has no files the picture, has the same bytes as one before
  double short_side = 0;      // the median's, in pixels
  bool grey = true;           // all of them
  int low = 0, high = 65535;  // of the 16-bit ones' values all but a thousandth on either side; without any: all
};
PictureFigures look_at_pictures(const Training& training);

/// Of the first batch's views.
struct ViewFigures {
  std::vector<double> mean, stddev;  // of each channel
  double difference = 0;             // of a picture's two views, squared, over that of different pictures' views
};
ViewFigures look_at_views(const simclr::Tensor& views, std::int64_t images);

struct Similarities {
  double positive = 0, negative = 0;  // mean cosine of z: of a picture's two views, and of different pictures' views
};

/// Training on the same views again and again, at the run's highest learning rate, after a short warm-up.
struct OverfitFigures {
  std::int64_t images = 0;
  std::vector<double> losses;                          // up to the last one that is finite
  std::string nonfinite;                               // where a NaN or Inf came up; empty: nowhere
  Similarities before, after;                          // `after` and `collapse`: only where all stayed finite
  simclr::nn::CollapseReport collapse;                 // of the features h
  std::vector<simclr::nn::ParameterRecord> gradients;  // of the first step
};
/// `views` [2N,S,S,C]. Trains the model with another optimizer, which takes the training's place. Ends after about
/// `seconds`.
OverfitFigures overfit(Training& training, const simclr::Input& views, double seconds);

/// What a step of the whole batch costs.
struct CostFigures {
  double step_seconds = 0;
  double views_seconds = 0;  // to make a batch's views
  double peak_bytes = 0;     // on the device
  double free_bytes = 0;     // before the check, on the CPU; 0: not known
  bool measured = true;      // else extrapolated from smaller batches, as a whole one takes long
  std::string failed;        // why a step of the whole batch cannot be done; empty: it can
  Fitting fitting;           // the micro-batch that fits where memory is why
};
CostFigures measure_cost(Training& training, const simclr::Input& views, double views_seconds);

/// How many pictures a batch may have so that a step takes at most `seconds`, up to `most`; tries with few.
std::int64_t images_within(Training& training, const simclr::Input& views, std::int64_t most, double seconds);
