// BLAKE2b with 16 bytes of digest and no key (RFC 7693): the journal's hash chain.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace rialto::server {

using Digest16 = std::array<std::uint8_t, 16>;

class Blake2b16 {
 public:
  Blake2b16();
  void update(const void* data, std::size_t size);
  Digest16 finish();

 private:
  static constexpr std::size_t kBlock = 128;

  void compress(const std::uint8_t* block, bool last);

  std::uint64_t state_[8];
  std::uint64_t hashed_ = 0;
  std::size_t held_ = 0;
  std::uint8_t buffer_[kBlock];
};

Digest16 blake2b16(const void* data, std::size_t size);

}  // namespace rialto::server
