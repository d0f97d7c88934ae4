#pragma once

#include "train/datasets.h"
#include "train/modality.h"

#include <simclr/nn/evaluate.h>

#include <memory>
#include <vector>

/// What --method makes of a training: its model, its views, and which labels it looks at.

/// Whether the training looks at labels.
bool takes_labels(const Recipe& recipe);

/// One encoder's model, with its initial weights, on the CPU: SimCLR of so many views of each sample, which SupCon's
/// is, too, or nn::Supervised.
std::unique_ptr<simclr::nn::Model> make_own_model(const TrainingOptions& options,
                                                  std::shared_ptr<simclr::nn::Module> encoder, int views);

/// How many views of each sample are trained on: 0, as many as its kind of data has, or 1.
int trained_views(const Recipe& recipe);

/// The kind's random views, as many as the method wants.
std::vector<simclr::data::Tower> trained_towers(const Modality& modality, int views);

/// What check_collapse() says, judged by the method: features that are learned from labels tend to as few directions as
/// there are classes, which is no fault, while one point is.
simclr::nn::CollapseReport judged(simclr::nn::CollapseReport report, const Recipe& recipe);

/// What is trained on: the training samples; for a method that takes labels with these as their groups, and their
/// number in options.classes, else 0. Throws simclr::Error for samples without a label, and for fewer than two classes.
std::shared_ptr<const simclr::data::Dataset> trained_samples(const Datasets& sets, TrainingOptions& options);
