#include "train/modality.h"

#include "run/run_folder.h"
#include "train/method.h"

std::unique_ptr<simclr::nn::Model> Modality::make_model(const TrainingOptions& options) const {
  return make_own_model(options, make_encoder(options.seed), towers(true).front().views);
}

std::string Modality::folders(const std::string&, const std::string& place) const {
  return place;
}

void Modality::refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string&,
                         const std::string& place) const {
  for (const std::string& output : outputs) refuse_in_data(option, output, place);
}

std::unique_ptr<ViewSource> Modality::on_device(const simclr::data::Dataset&, const ViewSourceOptions&) const {
  return nullptr;
}

int Modality::tower_in(const nlohmann::ordered_json& config) const {
  return config.value("modality", std::string(name())) == name() ? 0 : -1;
}

OwnEvaluation Modality::evaluate(simclr::nn::Model&, simclr::nn::Model&, const EvaluationOptions&) const {
  return {};
}

void Modality::look(const LookedAt& at, Findings& findings) const {
  if (!at.difference || *at.difference >= LookedAt::least_difference) return;
  findings.push_back(
      {.about = "views",
       .problem = "the two views of a " + at.sets.sample_name + " hardly differ, so there is nothing to learn from",
       .remedy = "views that vary more",
       .unusable = true});
}
