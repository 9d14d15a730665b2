// Reading a journal: many whole blocks in one go, each with every check of
// matching/journal_scan.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "blake2b.hpp"

namespace rialto::server {

struct BlockRun {
  std::size_t end;              // of the last good block in the segment
  std::uint64_t next_sequence;  // of the block that follows
  std::uint64_t epoch;
  std::uint64_t durable_sequence = 0;  // the highest that a block claims
  Digest16 chain;
  std::vector<std::size_t> blocks;  // where each begins
  std::size_t payload_bytes = 0;
};

// Takes the blocks that lie from `offset` on and follow `next_sequence`, `epoch` and `chain`, until
// their payloads are `most_bytes` or more. Stops before the first that breaks any rule: which one,
// and what that means, is for Python to say.
BlockRun read_blocks(const std::uint8_t* data, std::size_t size, std::size_t offset,
                     std::uint64_t next_sequence, std::uint64_t epoch, const Digest16& chain,
                     std::size_t most_bytes);

// Puts the payloads of the run's blocks behind one another.
void copy_payloads(const BlockRun& run, const std::uint8_t* data, std::uint8_t* out);

}  // namespace rialto::server
