#include <simclr/core/device.h>
#include <simclr/core/error.h>

#include <charconv>

namespace simclr {

const char* name(DeviceType type) {
  switch (type) {
    case DeviceType::cpu: return "cpu";
    case DeviceType::cuda: return "cuda";
    case DeviceType::emu: return "emu";
  }
  return "?";
}

std::string to_string(Device device) {
  std::string text = name(device.type);
  if (device.type == DeviceType::cuda) text += ":" + std::to_string(device.index);
  return text;
}

Device parse_device(std::string_view text) {
  if (text == "cpu") return {DeviceType::cpu, 0};
  if (text == "emu") return {DeviceType::emu, 0};
  if (text == "cuda") return {DeviceType::cuda, 0};
  constexpr std::string_view prefix = "cuda:";
  if (text.starts_with(prefix)) {
    const std::string_view digits = text.substr(prefix.size());
    int index = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error == std::errc() && end == digits.data() + digits.size() && index >= 0) return {DeviceType::cuda, index};
  }
  fail("device: \"", text, "\" is not a device; use cpu, cuda or cuda:N");
}

std::ostream& operator<<(std::ostream& out, Device device) {
  return out << to_string(device);
}

}  // namespace simclr
