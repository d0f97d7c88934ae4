#include "report/html.h"

#include "run/command_line.h"

#include <algorithm>
#include <cstdio>

namespace {

std::string base64(const std::vector<std::uint8_t>& bytes) {
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) word = word << 8 | (k < count ? bytes[i + k] : 0u);
    for (std::size_t k = 0; k < 4; ++k) text += k <= count ? digits[word >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string html;
  for (const char c : utf8(text)) {
    switch (c) {
      case '&': html += "&amp;"; break;
      case '<': html += "&lt;"; break;
      case '>': html += "&gt;"; break;
      case '"': html += "&quot;"; break;
      case '\'': html += "&#39;"; break;
      default: html += c;
    }
  }
  return html;
}

std::string script_json(const nlohmann::ordered_json& json) {
  std::string text;
  for (const char c : json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) {
    if (c == '<')
      text += "\\u003c";  // no </script>, no <!--
    else
      text += c;
  }
  return text;
}

std::string shown_html(const Shown& shown, const std::string& description) {
  const std::string text = escape_html(description);
  const std::string size = shown.width == 0 ? ""
                                            : "width=\"" + std::to_string(shown.width) + "\" height=\"" +
                                                  std::to_string(shown.height) + "\" ";
  const std::string source = "src=\"data:" + shown.type + ";base64," + base64(shown.bytes) + "\">";
  const std::string title = "title=\"" + text + "\"";
  const auto is = [&shown](const char* kind) { return shown.type.starts_with(kind); };
  if (is("image/")) return "<img alt=\"" + text + "\" " + title + " " + size + source;
  if (is("audio/")) {
    std::string above;
    for (const Shown& each : shown.above) above += shown_html(each, description);
    return above + "<audio controls " + title + " " + source + "</audio>";
  }
  if (is("video/")) return "<video controls muted loop " + title + " " + size + source + "</video>";
  const std::string words = is("text/") ? std::string(shown.bytes.begin(), shown.bytes.end())
                                        : shown.type + ", " + std::to_string(shown.bytes.size()) + " bytes";
  return "<span class=\"text\" " + title + ">" + escape_html(words) + "</span>";
}

std::string section_html(const std::string& id, const std::string& heading, const std::string& content) {
  return "<section id=\"" + id + "\">\n<h2>" + heading + "</h2>\n" + content + "</section>\n";
}

std::string sentence_html(const std::string& html) {
  return "<p class=\"none\">" + html + "</p>\n";
}

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}
