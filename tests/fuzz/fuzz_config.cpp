#include "modalities/picture_rows.h"
#include "targets.h"
#include "train/training_config.h"

namespace simclr::fuzz {

namespace {

/// Pictures, as far as their options go.
struct PictureRows final : ModalityOptions {
  const char* name() const override { return "pictures"; }
  void options(OptionTable& table, TrainingOptions& options) override { add_picture_rows(table, options, own); }
  std::vector<Recipe> recipes() const override { return {::recipes().begin(), ::recipes().end()}; }
  void use_recipe(const std::string& name) override { own = recipe(name); }

  PictureOptions own;
};

}  // namespace

void config(Bytes bytes) {
  const std::string text(bytes.begin(), bytes.end());
  std::string message;
  TrainingOptions options;
  PictureRows rows, again;
  if (!succeeds([&] { options = options_from_json(text, "config", rows); }, message)) return;
  const auto written = to_json(options, rows);
  const auto repeated = to_json(options_from_json(written.dump(), "what was written", again), again);
  if (repeated != written) finding("a configuration reads back as another: " + repeated.dump());
}

}  // namespace simclr::fuzz
