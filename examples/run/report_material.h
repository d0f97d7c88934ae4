#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// A point of a map.
using Point = std::array<float, 2>;

/// Principal components of features: a point each, along the first two.
struct PcaMap {
  std::vector<Point> points;
  std::array<double, 2> variance_shares;  // of the whole variance, along each
};

/// What a page shows of a sample or of a view.
struct Shown {
  std::string type;                 // as the web names it: "audio/wav", "video/mp4", "text/plain"
  std::vector<std::uint8_t> bytes;  // a file of this type
  int width = 0, height = 0;        // on the page, of what is seen; 0: as it comes
  std::vector<Shown> above = {};    // what is seen of something that is heard
};

/// A sample of a data set; label -1: none.
struct ShownSample {
  Shown shown;
  std::int32_t label = -1;
};

/// What a run's report shows and its log does not hold. Parts that are empty are explained in the report, not missing.
struct ReportMaterial {
  std::string program = "train";     // which repeats the run
  std::string sample = "sample";     // what one is called: "clip"; more of them with an s
  std::string data;                  // one line on the training samples
  std::vector<std::string> classes;  // their names; empty: the samples have no labels

  struct Viewed {
    ShownSample original;
    std::vector<std::vector<Shown>> towers;  // each one's views, as its encoder saw them, normalisation undone
  };
  std::vector<Viewed> viewed;

  std::int64_t features = 0;  // of a sample, which the encoder gives; 0: not known

  std::string map_samples;               // "2,000 of 10,000 test clips"
  PcaMap pca;                            // of N samples
  std::vector<Point> tsne;               // of the same
  std::vector<std::int32_t> map_labels;  // [N]

  struct Neighbour {
    ShownSample found;
    double similarity = 0;  // the features' cosine
    bool own = false;       // across a pair: it belongs to what is asked
  };
  struct Query {
    ShownSample asked;
    std::vector<Neighbour> neighbours;  // the most similar first
  };
  std::string query_samples, compared_samples;  // "test clips", "5,000 of 50,000 training clips"
  std::vector<Query> queries;
  bool across = false;  // the neighbours are of a sample's other part

  double chance = 0, bound = 0;    // of the loss of a batch; 0: not known
  double seconds = 0;              // of training so far; the log tells it after whole epochs only
  std::vector<std::string> notes;  // shown first: "interrupted at epoch 3, step 40; resume with ..."
};
