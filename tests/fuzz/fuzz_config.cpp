#include "modalities/picture_rows.h"
#include "targets.h"
#include "train/training_config.h"

namespace simclr::fuzz {

void config(Bytes bytes) {
  const std::string text(bytes.begin(), bytes.end());
  std::string message;
  TrainingOptions options;
  if (!succeeds([&] { options = options_from_json(text, "config", add_picture_rows); }, message)) return;
  const auto written = to_json(options, add_picture_rows);
  const auto repeated =
      to_json(options_from_json(written.dump(), "what was written", add_picture_rows), add_picture_rows);
  if (repeated != written) finding("a configuration reads back as another: " + repeated.dump());
}

}  // namespace simclr::fuzz
