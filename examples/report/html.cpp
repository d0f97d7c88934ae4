#include "report/html.h"

#include "run/command_line.h"

#include <algorithm>
#include <cstdio>

using simclr::data::Picture;

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

/// RGB with alpha laid over white, as the encoder sees it.
Picture without_alpha(const Picture& picture) {
  Picture plain{.height = picture.height, .width = picture.width, .channels = 3, .pixels = {}};
  for (std::size_t i = 0; i + 3 < picture.pixels.size(); i += 4) {
    const int alpha = picture.pixels[i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      plain.pixels.push_back(static_cast<std::uint8_t>((picture.pixels[i + c] * alpha + 255 * (255 - alpha)) / 255));
    }
  }
  return plain;
}

/// Each pixel the mean of those that it stands for.
Picture shrunk(const Picture& from, int most_side) {
  const int longest = std::max(from.height, from.width);
  if (longest <= most_side) return from;
  const auto scaled = [&](int side) { return std::max(1, static_cast<int>(std::int64_t{side} * most_side / longest)); };
  Picture to{.height = scaled(from.height), .width = scaled(from.width), .channels = from.channels, .pixels = {}};
  for (int y = 0; y < to.height; ++y) {
    const std::int64_t top = std::int64_t{y} * from.height / to.height;
    const std::int64_t bottom = std::int64_t{y + 1} * from.height / to.height;
    for (int x = 0; x < to.width; ++x) {
      const std::int64_t left = std::int64_t{x} * from.width / to.width;
      const std::int64_t right = std::int64_t{x + 1} * from.width / to.width;
      for (int c = 0; c < from.channels; ++c) {
        std::int64_t sum = 0;
        for (std::int64_t v = top; v < bottom; ++v) {
          for (std::int64_t u = left; u < right; ++u) {
            sum += from.pixels[static_cast<std::size_t>((v * from.width + u) * from.channels + c)];
          }
        }
        to.pixels.push_back(static_cast<std::uint8_t>(sum / ((bottom - top) * (right - left))));
      }
    }
  }
  return to;
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

std::string picture_html(const Picture& picture, int most_side, const std::string& description) {
  const Picture small = shrunk(picture.channels == 4 ? without_alpha(picture) : picture, most_side);
  const std::string text = escape_html(description);
  return "<img alt=\"" + text + "\" title=\"" + text + "\" width=\"" + std::to_string(small.width) + "\" height=\"" +
         std::to_string(small.height) + "\" src=\"data:image/png;base64," +
         base64(simclr::data::png_bytes(small, "the report's picture")) + "\">";
}

std::string section_html(const std::string& id, const std::string& heading, const std::string& content) {
  return "<section id=\"" + id + "\">\n<h2>" + heading + "</h2>\n" + content + "</section>\n";
}

std::string sentence_html(const std::string& html) {
  return "<p class=\"none\">" + html + "</p>\n";
}

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}
