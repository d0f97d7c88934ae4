#pragma once

#include "modalities/listed_sets.h"

#include <limits>
#include <string>
#include <vector>

/// Clips of a folder or of a list (clip_list.h). A clip of no more than an even share of so many bytes is served whole,
/// of a longer one its path (data::clip_folder()), whose frames are decoded for each view.
ListedKind clip_files(double cache_bytes = std::numeric_limits<double>::infinity());

/// What --dataset takes.
const std::vector<std::string>& clip_set_kinds();

/// Throws simclr::Error as check_listed(), and for places that only other kinds of data may have.
void check_clips(const std::string& kind, const std::string& place);

/// `kind`: one of clip_set_kinds(). Moving Fashion-MNIST (data/video/moving.h), of which source.data is the folder, or
/// as open_listed(). Throws simclr::Error as that does, and for a kind that the place is not of.
Datasets open_clips(const std::string& kind, const ListedSource& source,
                    double cache_bytes = std::numeric_limits<double>::infinity());

/// The files that open_clips() may read, those of a folder of frames each.
ListedFiles files_of_clips(const std::string& kind, const std::string& data, const std::string& pattern);
