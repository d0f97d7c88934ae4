#include "modalities/pair_sides.h"

#include "run/option_file.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <algorithm>

const std::vector<std::string>& side_names() {
  static const std::vector<std::string> names = {"first", "second"};
  return names;
}

const std::vector<std::string>& either_side() {
  static const std::vector<std::string> names = {"none", side_names()[0], side_names()[1]};
  return names;
}

int number_of_side(const std::string& name) {
  const auto found = std::find(side_names().begin(), side_names().end(), name);
  return found == side_names().end() ? -1 : static_cast<int>(found - side_names().begin());
}

bool is_of_pairs(const nlohmann::ordered_json& config) {
  return text_at(config, "modality") == "pairs";
}

int side_asked(const nlohmann::ordered_json& config, const std::string& side) {
  const std::string only = text_at(config, only_side_key);
  SIMCLR_CHECK(side == "none" || only.empty() || side == only, "--side ", side, ": the file holds the encoder of the ",
               simclr::printable(only), " side alone; leave it out");
  const int asked = number_of_side(side == "none" ? only : side);
  return asked >= 0 ? asked : std::max(0, side_of_pairs(config, "picture"));
}

std::string kind_of_side(const nlohmann::ordered_json& config, int side) {
  return text_at(config, side_names()[static_cast<std::size_t>(side)]);
}

int side_of_pairs(const nlohmann::ordered_json& config, const std::string& kind) {
  for (int side = 0; side < 2; ++side) {
    if (kind_of_side(config, side) == kind) return side;
  }
  return -1;
}
