#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// Which samples a program may know the labels of that shows what few labels are worth: `percent` of each class's
/// samples, at least one, in ascending order. The choice follows from the seed alone, and a smaller part lies within a
/// larger one. Unlabelled samples (-1) are left out.
std::vector<std::int64_t> labelled_part(const std::vector<std::int32_t>& labels, double percent, std::uint64_t seed);

/// Throws simclr::Error unless `percents`, what --labels gives, are in (0, 100].
void check_percents(const std::vector<double>& percents);

/// "10" or "0.5".
std::string percent_text(double percent);
