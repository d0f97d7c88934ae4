#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

/// What config.json says of the sides of pairs, for kinds of data that are one.

/// "first" and "second": the sides' names, which are the keys of their kinds in a configuration, too.
const std::vector<std::string>& side_names();
/// What --side and --from take: these, or "none".
const std::vector<std::string>& either_side();
/// 0 or 1; -1: none.
int number_of_side(const std::string& name);

bool is_of_pairs(const nlohmann::ordered_json& config);
/// What a side is of: "picture". Empty: it does not say.
std::string kind_of_side(const nlohmann::ordered_json& config, int side);
/// The first side that is of this kind; -1: none.
int side_of_pairs(const nlohmann::ordered_json& config, const std::string& kind);
