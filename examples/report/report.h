#pragma once

#include "train/embedding_map.h"

#include <simclr/data/pictures/image_io.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// A picture of a data set; label -1: none.
struct LabelledPicture {
  simclr::data::Picture picture;
  std::int32_t label = -1;
};

/// What a run's report shows and its log does not hold. Parts that are empty are explained in the report, not missing.
struct ReportMaterial {
  std::string data;                  // one line on the training pictures
  std::vector<std::string> classes;  // their names; empty: the pictures have no labels

  struct Viewed {
    LabelledPicture original;
    std::array<simclr::data::Picture, 2> views;  // as the encoder saw them, normalisation undone
  };
  std::vector<Viewed> viewed;

  std::string map_pictures;              // "2,000 of 10,000 test pictures"
  PcaMap pca;                            // of N pictures
  std::vector<Point> tsne;               // of the same
  std::vector<std::int32_t> map_labels;  // [N]

  struct Neighbour {
    LabelledPicture found;
    double similarity = 0;  // the features' cosine
  };
  struct Query {
    LabelledPicture asked;
    std::vector<Neighbour> neighbours;  // the most similar first
  };
  std::string query_pictures, compared_pictures;  // "test pictures", "5,000 of 50,000 training pictures"
  std::vector<Query> queries;

  double seconds = 0;              // of training so far; the log tells it after whole epochs only
  std::vector<std::string> notes;  // shown first: "interrupted at epoch 3, step 40; resume with ..."
};

/// Writes `folder`/report.html, one page that needs no other file and no network, from the folder's config.json and
/// log.jsonl and from `material`. A log that a kill cut off is read as far as it goes. Throws simclr::Error where these
/// files cannot be read or the page cannot be written.
void write_report(const std::string& folder, const ReportMaterial& material);
