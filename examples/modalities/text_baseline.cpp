#include "modalities/text_baseline.h"

#include "train/labelled_part.h"

#include <simclr/data/subset.h>
#include <simclr/data/text/tfidf.h>

#include <cstdint>
#include <vector>

namespace data = simclr::data;

Baseline tfidf_features(const Datasets& sets) {
  std::vector<std::int64_t> known;
  for (std::int64_t i = 0; i < sets.labelled->size(); ++i) {
    if (sets.labelled->label(i) >= 0) known.push_back(i);
  }
  const auto labelled = data::subset(sets.labelled, known);
  const data::Tfidf tfidf(*labelled);
  return {
      "TF-IDF", {tfidf.features(*labelled), labels_of(*labelled)}, {tfidf.features(*sets.test), labels_of(*sets.test)}};
}
