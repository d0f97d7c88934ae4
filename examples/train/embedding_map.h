#pragma once

#include "run/report_material.h"

#include <simclr/core/tensor.h>

#include <cstdint>
#include <vector>

/// Maps of features for people to look at: each row of an [N,F] matrix becomes a point of a plane, rows that are alike
/// near each other. Both maps are the same bits for every number of threads.

/// Principal components of `values` [N,F] f32 on the CPU, N >= 2, each row over its norm first, for cosines are what
/// kNN compares. Throws simclr::Error for NaN and Inf.
PcaMap pca_map(const simclr::Tensor& values);

struct TsneOptions {
  double perplexity = 30;  // about how many neighbours a point has; at most (N - 1) / 3 is used
  int iterations = 750;    // the first third with attraction exaggerated
  std::uint64_t seed = 0;  // of a small disturbance that parts equal rows
};

/// t-SNE (van der Maaten & Hinton, JMLR 9, 2008), exact, from the PCA map: `values` as for pca_map(). Time and memory
/// grow as N^2; 2,000 rows take seconds.
std::vector<Point> tsne_map(const simclr::Tensor& values, const TsneOptions& options = {});

/// t-SNE's p(j|i) [N,N], row-major, for squared distances [N,N] f32: Gaussian weights of width such that each row,
/// its diagonal 0, has the given perplexity exp(entropy).
std::vector<float> tsne_affinities(const simclr::Tensor& squared_distances, double perplexity);
