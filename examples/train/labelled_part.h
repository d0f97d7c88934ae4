#pragma once

#include <simclr/data/dataset.h>

#include <cstdint>
#include <string>
#include <vector>

/// Which samples a program may know the labels of that shows what few labels are worth: `percent` of each class's
/// samples, at least one, in ascending order. The choice follows from the seed alone, and a smaller part lies within a
/// larger one. Unlabelled samples (-1) are left out.
std::vector<std::int64_t> labelled_part(const std::vector<std::int32_t>& labels, double percent, std::uint64_t seed);

/// A fifth of each class's samples, rounded, evenly spread over them, in ascending order: of one or two samples none.
std::vector<std::int64_t> every_fifth(const std::vector<std::int32_t>& labels);

/// The same of samples in groups: the labelled ones of a fifth of each class's groups, each of which counts as of its
/// first label, so that no sample has one of its own group among the others.
std::vector<std::int64_t> fifth_of_groups(const std::vector<std::int32_t>& labels,
                                          const std::vector<std::int32_t>& groups);

/// Which samples --hold-out keeps back: `share` of each class's, rounded, at least one and never all, so that a class
/// of one sample gives none. In ascending order; the choice follows from the seed alone. Unlabelled samples are left
/// out.
std::vector<std::int64_t> held_out_part(const std::vector<std::int32_t>& labels, double share, std::uint64_t seed);

/// The label of each sample.
std::vector<std::int32_t> labels_of(const simclr::data::Dataset& samples);

/// "10" or "0.5".
std::string percent_text(double percent);

/// Throws simclr::Error where two are written alike: their figures, and files named by them, could not be told apart.
void check_percents(const std::vector<double>& percents);
