#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/pictures/augmentation.h>

#include <string>

/// Draws a PNG file, `path` or the first free name after it, with a row for each of some pictures, spread over the set:
/// the picture and the two views that a run with this policy and seed makes of it in its first epoch. Those that cannot
/// be read are left out. Returns what to say of it, also where it cannot be written: a check has more to tell than this
/// sheet.
std::string write_view_sheet(const std::string& path, const simclr::data::Dataset& pictures,
                             const simclr::data::Augmentation& policy, std::uint64_t seed);
