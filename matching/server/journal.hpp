// The journal's writer: blocks into segments as matching/segments.py lays them out. Recovery is
// Python's (matching/replay.py); this goes on where it ended.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "blake2b.hpp"
#include "fault.hpp"
#include "files.hpp"
#include "spare_segments.hpp"

namespace rialto::server {

inline constexpr std::size_t kBlockHeadBytes = 64;
inline constexpr std::size_t kBlockPayloadBytes = 1 << 20;  // matching.sequencer.BLOCK_BYTES

// Where the last good block ends: matching.journal_scan.JournalEnd and what does not change.
struct JournalEnd {
  std::string segment;
  std::uint64_t offset;
  std::uint64_t last_sequence;
  Digest16 chain;
  std::uint64_t epoch;
  Digest16 journal_id;
  std::uint32_t shard;
  std::size_t segment_bytes;
};

using Fail = std::function<void(Fault, const std::string&)>;

class Journal {
 public:
  // `hurry`: its own thread goes before others, as the loop does.
  Journal(const Folder& folder, const JournalEnd& end, bool hurry, const Fail& fail);

  // Loop thread: writes `count` commands; the 64 bytes before `payload` take the block's head.
  void append(std::uint8_t* payload, std::size_t size, std::uint64_t first, std::uint32_t count);

  // Sync thread: makes durable what was written when it begins; returns the durable sequence.
  std::uint64_t sync();

  // After the last append and sync.
  void close() { spares_.stop(); }

  std::uint64_t written_sequence() const { return written_.load(std::memory_order_acquire); }
  std::uint64_t durable_sequence() const { return durable_.load(std::memory_order_acquire); }
  std::uint64_t epoch() const { return end_.epoch; }

 private:
  struct Segment {
    std::string name;
    Descriptor file;
    bool named;  // its name survives a power loss; sync thread only
  };

  void rotate(std::uint64_t first);

  const Folder& folder_;
  JournalEnd end_;
  std::shared_ptr<Segment> current_;
  bool asked_for_spare_ = false;
  std::atomic<std::uint64_t> written_, durable_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Segment>> dirty_;  // oldest first; the current one is always the last
  SpareSegments spares_;
};

}  // namespace rialto::server
