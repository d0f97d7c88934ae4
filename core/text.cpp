#include <simclr/core/text.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace simclr {
namespace {

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  if (text.size() > most) {
    while (most > 0 && continues_character(text[most])) --most;
    text = text.substr(0, most);
  }
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

std::string counted(std::int64_t count, std::string_view what, std::string_view ending) {
  std::string text = std::to_string(count) + " ";
  text += what;
  if (count != 1) text += ending;
  return text;
}

std::string listed(const std::vector<std::string>& all, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), most); ++i) text += (i > 0 ? ", " : "") + printable(all[i]);
  return all.size() > most ? text + " and " + std::to_string(all.size() - most) + " more" : text;
}

std::string hex(std::uint64_t value) {
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(value));
  return digits.data();
}

}  // namespace simclr
