#include "block_run.hpp"

#include <algorithm>
#include <cstring>

#include "crc32.hpp"

namespace rialto::server {

namespace {

// The head of a block; matching/segments.py describes it.
struct Head {
  std::uint32_t magic;
  std::uint32_t payload_bytes;
  std::uint64_t first_sequence;
  std::uint32_t commands;
  std::uint32_t zero;
  std::uint64_t epoch;
  std::uint64_t durable_sequence;
  Digest16 chain;
  std::uint32_t crc;
  std::uint32_t rest;
};
static_assert(sizeof(Head) == 64);

constexpr std::uint32_t kMagic = 0x4B4C4252, kMostPayload = 4 << 20;
constexpr std::size_t kHashed = 40, kChecked = 56;

Digest16 chain_after(const Digest16& before, const std::uint8_t* block, std::size_t payload) {
  Blake2b16 hash;
  hash.update(before.data(), before.size());
  hash.update(block, kHashed);
  hash.update(block + sizeof(Head), payload);
  return hash.finish();
}

}  // namespace

BlockRun read_blocks(const std::uint8_t* data, std::size_t size, std::size_t offset,
                     std::uint64_t next_sequence, std::uint64_t epoch, const Digest16& chain,
                     std::size_t most_bytes) {
  BlockRun run{};
  run.end = offset;
  run.next_sequence = next_sequence;
  run.epoch = epoch;
  run.chain = chain;
  while (run.payload_bytes < most_bytes && run.end + sizeof(Head) <= size) {
    const std::uint8_t* block = data + run.end;
    Head head;
    std::memcpy(&head, block, sizeof head);
    if (head.magic != kMagic || head.payload_bytes > kMostPayload || head.commands == 0 ||
        head.zero != 0 || head.rest != 0 || size - run.end - sizeof head < head.payload_bytes ||
        head.first_sequence != run.next_sequence || head.epoch < run.epoch)
      break;
    if (crc32(block + sizeof head, head.payload_bytes, crc32(block, kChecked)) != head.crc) break;
    if (chain_after(run.chain, block, head.payload_bytes) != head.chain) break;
    run.blocks.push_back(run.end);
    run.end += sizeof head + head.payload_bytes;
    run.payload_bytes += head.payload_bytes;
    run.next_sequence += head.commands;
    run.epoch = head.epoch;
    run.durable_sequence = std::max(run.durable_sequence, head.durable_sequence);
    run.chain = head.chain;
  }
  return run;
}

void copy_payloads(const BlockRun& run, const std::uint8_t* data, std::uint8_t* out) {
  for (const std::size_t at : run.blocks) {
    Head head;
    std::memcpy(&head, data + at, sizeof head);
    std::memcpy(out, data + at + sizeof head, head.payload_bytes);
    out += head.payload_bytes;
  }
}

}  // namespace rialto::server
