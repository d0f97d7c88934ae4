#pragma once

#include "run/report_material.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

/// Text as HTML that shows it and does nothing else. Bytes that are not UTF-8 become U+FFFD.
std::string escape_html(const std::string& text);

/// JSON as the content of a script element, which nothing inside it can end.
std::string script_json(const nlohmann::ordered_json& json);

/// An element that carries what it shows.
std::string shown_html(const Shown& shown, const std::string& description);

/// A part of the page. Its arguments are HTML.
std::string section_html(const std::string& id, const std::string& heading, const std::string& content);
/// What stands where a part has nothing to show. HTML.
std::string sentence_html(const std::string& html);

/// The number with so many decimals.
std::string fixed(double value, int decimals);
