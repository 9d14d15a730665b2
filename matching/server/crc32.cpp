#include "crc32.hpp"

#include <array>
#include <cstring>

namespace rialto::server {

namespace {

constexpr std::size_t kSlices = 16;
using Tables = std::array<std::array<std::uint32_t, 256>, kSlices>;

// kTables[n][b]: the crc of byte b followed by n zero bytes.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = before >> 8 ^ tables[0][before & 0xFF];
    }
  return tables;
}

constexpr Tables kTables = make_tables();

// The contribution of four bytes that are followed by `slice` more in the step.
[[gnu::always_inline]] inline std::uint32_t four(std::uint32_t word, std::size_t slice) {
  return kTables[slice + 3][word & 0xFF] ^ kTables[slice + 2][word >> 8 & 0xFF] ^
         kTables[slice + 1][word >> 16 & 0xFF] ^ kTables[slice][word >> 24];
}

}  // namespace

std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t crc) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  crc = ~crc;
  for (; size >= kSlices; size -= kSlices, bytes += kSlices) {
    std::uint32_t words[4];
    std::memcpy(words, bytes, sizeof words);
    crc = four(words[0] ^ crc, 12) ^ four(words[1], 8) ^ four(words[2], 4) ^ four(words[3], 0);
  }
  for (; size != 0; --size) crc = crc >> 8 ^ kTables[0][(crc ^ *bytes++) & 0xFF];
  return ~crc;
}

}  // namespace rialto::server
