#pragma once

#include "run/report_material.h"

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/image_io.h>

/// The picture that a sample is, in bytes. Of channels that are neither grey nor RGB (views of `view_channels` say so)
/// the first three, or of two the first.
simclr::data::Picture picture_of(const simclr::data::Sample& sample, int view_channels);

/// A view [S,S,C] f32 as a picture, its normalisation undone; of
/// many channels those that picture_of() takes.
simclr::data::Picture picture_of_view(const simclr::Tensor& view, const simclr::data::Augmentation& policy);

/// A picture for a page, at most `most_side` pixels a side.
Shown shown_picture(const simclr::data::Picture& picture, int most_side);
