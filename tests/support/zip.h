#pragma once

// Zip files made byte by byte, as np.savez makes them, so that tests need no library and can damage what they like.

#include <cstdint>
#include <string>
#include <vector>

namespace simclr::test {

struct ZipMember {
  std::string name, data;
  int flags = 0x800;           // 1: encrypted; 0x800: the name is UTF-8
  int method = 0;              // 0: as it is; 8: DEFLATE, which `data` then is
  std::int64_t promised = -1;  // bytes when unpacked; -1: those of `data`
};

inline std::uint32_t zip_crc(const std::string& data) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char byte : data) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return ~crc;
}

inline std::string zip_file(const std::vector<ZipMember>& members) {
  std::string file, directory;
  const auto number = [](std::string& to, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i, value >>= 8) to += static_cast<char>(value & 255);
  };
  for (const ZipMember& member : members) {
    const auto at = file.size();
    const auto common = [&](std::string& to) {
      number(to, 20, 2);  // the version that is needed
      number(to, static_cast<std::uint64_t>(member.flags), 2);
      number(to, static_cast<std::uint64_t>(member.method), 2);
      number(to, 0x21, 4);  // 1980
      number(to, zip_crc(member.data), 4);
      number(to, member.data.size(), 4);
      number(to, member.promised < 0 ? member.data.size() : static_cast<std::uint64_t>(member.promised), 4);
      number(to, member.name.size(), 2);
      number(to, 0, 2);  // nothing extra
    };
    file += "PK\3\4";
    common(file);
    file += member.name + member.data;
    directory += "PK\1\2";
    number(directory, 20, 2);
    common(directory);
    number(directory, 0, 10);  // no remark, this disk, no attributes
    number(directory, at, 4);
    directory += member.name;
  }
  const auto begin = file.size();
  file += directory + "PK\5\6";
  number(file, 0, 4);
  number(file, members.size(), 2);
  number(file, members.size(), 2);
  number(file, directory.size(), 4);
  number(file, begin, 4);
  number(file, 0, 2);
  return file;
}

}  // namespace simclr::test
