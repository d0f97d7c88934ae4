#pragma once

#include "train/report_material.h"

#include <simclr/nn/model.h>

/// Of a model of two towers: what a report shows as neighbours are, instead of samples that are alike, the other halves
/// that the model takes for a pair's own, of test samples, or of training samples where there is no test set; from the
/// first part to the second and back in turn. Of a group the likeliest is shown. Samples of which a part cannot be read
/// are left out; where the towers give NaN or Inf there are no neighbours.
void add_pair_neighbours(ReportMaterial& material, const Modality& modality, simclr::nn::Model& model,
                         const Datasets& sets, const EvaluationOptions& evaluation,
                         const MaterialOptions& options = {});
