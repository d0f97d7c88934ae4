#include <simclr/core/crc64.h>

#include <array>
#include <bit>
#include <cstring>

namespace simclr {
namespace {

static_assert(std::endian::native == std::endian::little, "words are taken from memory as they lie");

using Tables = std::array<std::array<std::uint64_t, 256>, 8>;

/// tables[k][b] is the CRC of byte b with k zero bytes behind it, so that eight bytes are looked up at once.
constexpr Tables make_tables() {
  constexpr std::uint64_t polynomial = 0xc96c5795d7870f42u;
  Tables tables{};
  for (std::uint64_t b = 0; b < 256; ++b) {
    std::uint64_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1u ? polynomial : 0);
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      const std::uint64_t before = tables[k - 1][b];
      tables[k][b] = (before >> 8) ^ tables[0][before & 0xffu];
    }
  }
  return tables;
}

constexpr Tables tables = make_tables();

}  // namespace

void Crc64::update(const void* data, std::size_t bytes) {
  const auto* next = static_cast<const unsigned char*>(data);
  std::uint64_t crc = state_;
  for (; bytes >= 8; bytes -= 8, next += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, next, 8);
    word ^= crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= tables[7 - k][(word >> (8 * k)) & 0xffu];
  }
  for (; bytes > 0; --bytes, ++next) crc = (crc >> 8) ^ tables[0][(crc ^ *next) & 0xffu];
  state_ = crc;
}

}  // namespace simclr
