#include "train/modality.h"

std::unique_ptr<ViewSource> Modality::on_device(const simclr::data::Dataset&, const ViewSourceOptions&) const {
  return nullptr;
}

void Modality::look(const LookedAt& at, Findings& findings) const {
  if (at.difference >= LookedAt::least_difference) return;
  findings.push_back(
      {.about = "views",
       .problem = "the two views of a " + at.sets.sample_name + " hardly differ, so there is nothing to learn from",
       .remedy = "views that vary more",
       .unusable = true});
}
