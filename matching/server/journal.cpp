#include "journal.hpp"

#include <fcntl.h>

#include <cstdio>
#include <cstring>

#include "crc32.hpp"
#include "failpoint.hpp"

namespace rialto::server {

namespace {

constexpr std::uint64_t kSegmentHeaderBytes = 4096;

#pragma pack(push, 1)
struct SegmentHead {
  char magic[8];
  std::uint32_t format;
  std::uint32_t shard;
  Digest16 journal_id;
  std::uint64_t first_sequence;
  std::uint64_t epoch;
  Digest16 previous_chain;
  std::uint32_t crc;
};
static_assert(sizeof(SegmentHead) == 68);

struct BlockHead {
  std::uint32_t magic;
  std::uint32_t payload_bytes;
  std::uint64_t first_sequence;
  std::uint32_t commands;
  std::uint32_t zero;
  std::uint64_t epoch;
  std::uint64_t durable_sequence;
  Digest16 chain;  // of the bytes before it and the payload
  std::uint32_t crc;
  std::uint32_t rest;
};
static_assert(sizeof(BlockHead) == kBlockHeadBytes);
#pragma pack(pop)

constexpr std::uint32_t kFormat = 1;
constexpr std::uint32_t kBlockMagic = 0x4B4C4252;
constexpr std::size_t kHashed = offsetof(BlockHead, chain);
constexpr std::size_t kChecked = offsetof(BlockHead, crc);

std::string segment_name(std::uint64_t first) {
  char name[48];
  std::snprintf(name, sizeof name, "journal/%020llu.seg", static_cast<unsigned long long>(first));
  return name;
}

}  // namespace

Journal::Journal(const Folder& folder, const JournalEnd& end, bool hurry, const Fail& fail)
    : folder_(folder),
      end_(end),
      current_(new Segment{end.segment, folder.open(end.segment, O_RDWR), true}),
      written_(end.last_sequence),
      durable_(end.last_sequence),
      dirty_{current_},
      spares_(folder, end.segment_bytes, hurry, fail) {}

void Journal::append(std::uint8_t* payload, std::size_t size, std::uint64_t first,
                     std::uint32_t count) {
  auto& head = *reinterpret_cast<BlockHead*>(payload - kBlockHeadBytes);
  head = {kBlockMagic,
          static_cast<std::uint32_t>(size),
          first,
          count,
          0,
          end_.epoch,
          durable_sequence(),
          {},
          0,
          0};
  Blake2b16 chain;
  chain.update(end_.chain.data(), end_.chain.size());
  chain.update(&head, kHashed);
  chain.update(payload, size);
  head.chain = chain.finish();
  head.crc = crc32(payload, size, crc32(&head, kChecked));
  const std::size_t bytes = kBlockHeadBytes + size;
  hit("before_write");
  try {
    if (end_.offset + bytes > end_.segment_bytes) rotate(first);
    write_all(current_->file, current_->name, &head, bytes, end_.offset);
  } catch (const FileError& error) {
    throw EngineFault(Fault::kWriteFailed, error.what());
  }
  hit("after_write");
  end_.chain = head.chain;
  end_.offset += bytes;
  written_.store(first + count - 1, std::memory_order_release);
  if (!asked_for_spare_ && end_.offset >= end_.segment_bytes / 2) {
    asked_for_spare_ = true;
    spares_.keep_one();
  }
}

// The new segment gets its name at once, so that a killed process finds it, and its sync with the
// next one of the sync thread: nothing in it counts as durable before.
void Journal::rotate(std::uint64_t first) {
  SpareSegments::Spare spare = spares_.take();
  SegmentHead head{{'R', 'L', 'T', 'J', 'R', 'N', 'L', 0},
                   kFormat,
                   end_.shard,
                   end_.journal_id,
                   first,
                   end_.epoch,
                   end_.chain,
                   0};
  head.crc = crc32(&head, offsetof(SegmentHead, crc));
  const std::string name = segment_name(first);
  write_all(spare.file, name, &head, sizeof head, 0);
  folder_.rename(spare.name, name);
  current_.reset(new Segment{name, std::move(spare.file), false});
  end_.offset = kSegmentHeaderBytes;
  const std::lock_guard lock(mutex_);
  dirty_.push_back(current_);
}

std::uint64_t Journal::sync() {
  const std::uint64_t target = written_sequence();
  std::vector<std::shared_ptr<Segment>> segments;
  {
    const std::lock_guard lock(mutex_);
    segments = dirty_;
  }
  try {
    for (const auto& segment : segments) sync_data(segment->file, segment->name);
    for (const auto& segment : segments) {
      if (!segment->named) folder_.sync_folder("journal");
      segment->named = true;
    }
    hit("after_sync");
  } catch (const FileError& error) {
    throw EngineFault(Fault::kSyncFailed, error.what());
  }
  {
    const std::lock_guard lock(mutex_);
    dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<std::ptrdiff_t>(segments.size()) - 1);
  }
  durable_.store(target);
  return target;
}

}  // namespace rialto::server
