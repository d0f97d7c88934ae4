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
/// The key of weights with the encoder of one side alone, as finetune leaves them: which it is.
inline constexpr const char* only_side_key = "side";
/// Whose encoder is asked for of weights of pairs, by one of either_side(); "none": of the side that they hold alone,
/// else of the first that is of pictures, else of the first. Throws simclr::Error where they hold the other alone.
int side_asked(const nlohmann::ordered_json& config, const std::string& side);
/// What a side is of: "picture". Empty: it does not say.
std::string kind_of_side(const nlohmann::ordered_json& config, int side);
/// The first side that is of this kind; -1: none.
int side_of_pairs(const nlohmann::ordered_json& config, const std::string& kind);
