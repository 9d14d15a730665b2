// The crc32 of zlib, sixteen bytes a step.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rialto::server {

// Continues `crc` (0 to begin) over `size` bytes; the same numbers as zlib.crc32.
std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t crc = 0);

}  // namespace rialto::server
