#include "blake2b.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <utility>

namespace rialto::server {

namespace {

constexpr std::uint64_t kStart[8] = {
    0x6A09E667F3BCC908ull, 0xBB67AE8584CAA73Bull, 0x3C6EF372FE94F82Bull, 0xA54FF53A5F1D36F1ull,
    0x510E527FADE682D1ull, 0x9B05688C2B3E6C1Full, 0x1F83D9ABFB41BD6Bull, 0x5BE0CD19137E2179ull};

// Which word of the block goes where in each round; rounds 10 and 11 repeat 0
// and 1.
constexpr std::uint8_t kOrder[12][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                         {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                         {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                         {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                         {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                         {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                         {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                         {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                         {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                         {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
                                         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                         {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

[[gnu::always_inline]] inline void mix(std::uint64_t &a, std::uint64_t &b, std::uint64_t &c,
                                       std::uint64_t &d, std::uint64_t x, std::uint64_t y) {
  a += b + x;
  d = std::rotr(d ^ a, 32);
  c += d;
  b = std::rotr(b ^ c, 24);
  a += b + y;
  d = std::rotr(d ^ a, 16);
  c += d;
  b = std::rotr(b ^ c, 63);
}

// A template, so that the words' places are constants: three times as fast as
// looking them up.
template <std::size_t kRound>
[[gnu::always_inline]] inline void round(std::uint64_t *v, const std::uint64_t *m) {
  constexpr const auto &s = kOrder[kRound];
  mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
  mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
  mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
  mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
  mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
  mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
  mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
  mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
}

}  // namespace

Blake2b16::Blake2b16() {
  std::memcpy(state_, kStart, sizeof state_);
  state_[0] ^= 0x01010000u | sizeof(Digest16);  // fan-out 1, depth 1, no key, digest length
}

void Blake2b16::update(const void *data, std::size_t size) {
  const auto *bytes = static_cast<const std::uint8_t *>(data);
  while (size != 0) {
    if (held_ == kBlock) {  // only now is it known that this block is not the last
      hashed_ += kBlock;
      compress(buffer_, false);
      held_ = 0;
    }
    while (held_ == 0 && size > kBlock) {
      hashed_ += kBlock;
      compress(bytes, false);
      bytes += kBlock;
      size -= kBlock;
    }
    const std::size_t part = std::min(size, kBlock - held_);
    std::memcpy(buffer_ + held_, bytes, part);
    held_ += part;
    bytes += part;
    size -= part;
  }
}

Digest16 Blake2b16::finish() {
  hashed_ += held_;
  std::memset(buffer_ + held_, 0, kBlock - held_);
  compress(buffer_, true);
  Digest16 digest;
  std::memcpy(digest.data(), state_, digest.size());
  return digest;
}

void Blake2b16::compress(const std::uint8_t *block, bool last) {
  std::uint64_t m[16], v[16];
  std::memcpy(m, block, sizeof m);
  std::memcpy(v, state_, sizeof state_);
  std::memcpy(v + 8, kStart, sizeof kStart);
  v[12] ^= hashed_;
  if (last) v[14] = ~v[14];
  [&]<std::size_t... kRound>(std::index_sequence<kRound...>) { (round<kRound>(v, m), ...); }
  (std::make_index_sequence<std::size(kOrder)>());
  for (int i = 0; i < 8; ++i) state_[i] ^= v[i] ^ v[i + 8];
}

Digest16 blake2b16(const void *data, std::size_t size) {
  Blake2b16 hash;
  hash.update(data, size);
  return hash.finish();
}

}  // namespace rialto::server
