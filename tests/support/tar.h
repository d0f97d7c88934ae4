#pragma once

// Tar files made byte by byte: ustar, pax and GNU's, so that tests need no library and can damage what they like.

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace simclr::test {

/// A header of 512 bytes for `bytes` of a member; `type` as ustar has it: '0' a file, '5' a folder, '2' a link, 'x' pax
/// records, 'L' GNU's long name, 'S' GNU's sparse file.
inline std::string tar_header(std::string_view name, std::size_t bytes, char type = '0') {
  std::string header(512, '\0');
  name.copy(header.data(), 100);
  std::memcpy(header.data() + 100,
              "0000644\0"
              "0000000\0"
              "0000000\0",
              24);
  std::snprintf(header.data() + 124, 12, "%011llo", static_cast<unsigned long long>(bytes));
  std::memcpy(header.data() + 136, "00000000000", 12);
  header[156] = type;
  std::memcpy(header.data() + 257,
              type == 'L' || type == 'S' ? "ustar  "
                                         : "ustar\0"
                                           "00",
              8);
  std::memset(header.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(header.data() + 148, 8, "%06o", sum);
  return header;
}

/// Its bytes, filled up to whole blocks.
inline std::string tar_blocks(std::string bytes) {
  bytes.resize((bytes.size() + 511) / 512 * 512);
  return bytes;
}

inline std::string tar_member(std::string_view name, const std::string& bytes) {
  return tar_header(name, bytes.size()) + tar_blocks(bytes);
}

/// The same with its name in a pax record.
inline std::string pax_member(const std::string& name, const std::string& bytes) {
  const std::string rest = " path=" + name + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  const std::string record = std::to_string(length) + rest;
  return tar_header("PaxHeaders/x", record.size(), 'x') + tar_blocks(record) + tar_member("short", bytes);
}

/// The same with its name as GNU's tar writes long ones.
inline std::string gnu_member(const std::string& name, const std::string& bytes) {
  return tar_header("././@LongLink", name.size() + 1, 'L') + tar_blocks(name + '\0') +
         tar_member(name.substr(0, 99), bytes);
}

/// GNU's sparse file of 1 MiB, of which the last block is there.
inline std::string sparse_member(std::string_view name) {
  std::string header = tar_header(name, 512, 'S');
  std::snprintf(header.data() + 386, 12, "%011o", (1u << 20) - 512);  // the first piece: where, and how long
  std::snprintf(header.data() + 398, 12, "%011o", 512u);
  std::snprintf(header.data() + 483, 12, "%011o", 1u << 20);  // the whole
  std::memset(header.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(header.data() + 148, 8, "%06o", sum);
  return header + std::string(512, 'x');
}

inline std::string tar_end() {
  return std::string(1024, '\0');
}

}  // namespace simclr::test
