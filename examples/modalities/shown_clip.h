#pragma once

#include "run/report_material.h"

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/augmentation.h>

/// A clip for a page, at most `most_side` pixels a side: some of its frames, evenly spread, one after another (an
/// animated PNG). Of a sample as clip_views.h has it; views of `view_channels` channels say what is drawn, as
/// picture_of() does. Throws simclr::Error for a clip that cannot be read.
Shown shown_clip(const simclr::data::Sample& sample, int view_channels, int most_side);

/// The same of a view [T,S,S,C] f32, its normalisation undone.
Shown shown_clip_view(const simclr::Tensor& view, const simclr::data::Augmentation& policy, int most_side);
