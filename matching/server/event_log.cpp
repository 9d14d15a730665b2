#include "event_log.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "blake2b.hpp"
#include "crc32.hpp"
#include "fault.hpp"

namespace rialto::server {

namespace {

constexpr std::uint64_t kIndexEvery = 64 << 10;
constexpr std::size_t kChunk = 256 << 10;
constexpr std::uint32_t kBlobMagic = 0x42564552;

#pragma pack(push, 1)
struct BlobHead {
  std::uint32_t magic;
  std::uint32_t bytes;
  std::uint64_t first, last;
  Digest16 chain_name;
  std::uint32_t crc;
  std::uint8_t zero[20];
};
#pragma pack(pop)
static_assert(sizeof(BlobHead) == 64);

std::uint32_t checksum(BlobHead head, const void* data) {
  head.magic = head.crc = 0;
  return crc32(data, head.bytes, crc32(&head, sizeof head));
}

// Appends the stripes with `after` < sequence <= `up_to`.
void take(std::string& out, const char* data, std::size_t size, std::uint64_t after,
          std::uint64_t up_to) {
  const auto sequence_at = [data](std::size_t stripe) {
    std::uint64_t sequence;
    std::memcpy(&sequence, data + stripe * kStripe, sizeof sequence);
    return sequence;
  };
  std::size_t begin = 0, end = size / kStripe;
  while (begin < end && sequence_at(begin) <= after) ++begin;
  while (end > begin && sequence_at(end - 1) > up_to) --end;
  out.append(data + begin * kStripe, (end - begin) * kStripe);
}

}  // namespace

EventLog::EventLog(const Folder& folder, const EventLogEnd& end)
    : folder_(folder),
      head_(end.head),
      file_bytes_(end.file_bytes),
      last_(end.last_sequence),
      files_(end.files.begin(), end.files.end()) {
  if (!files_.empty()) current_ = folder_.open(files_.back().name, O_RDWR);
}

void EventLog::append(std::uint64_t first, std::uint64_t last, std::span<const EventStripe> events,
                      std::span<const std::uint64_t, 8> chain) try {
  EventFile& file = file_for(first);
  const std::uint64_t offset = file.end;
  BlobHead head{kBlobMagic, static_cast<std::uint32_t>(events.size_bytes()), first,
                last,       blake2b16(chain.data(), chain.size_bytes()),     0,
                {}};
  head.crc = checksum(head, events.data());
  write_both(current_, file.name, &head, sizeof head, events.data(), events.size_bytes(), offset);
  const std::lock_guard lock(mutex_);
  if (file.marks.empty() || offset - file.marks.back().second >= kIndexEvery)
    file.marks.emplace_back(first, offset);
  file.end = offset + sizeof head + events.size_bytes();
  last_.store(last, std::memory_order_release);
} catch (const FileError& error) {
  throw EngineFault(Fault::kWriteFailed, error.what());
}

// Only this thread adds files and moves their ends, and the last one is never dropped.
EventFile& EventLog::file_for(std::uint64_t first) {
  {
    const std::lock_guard lock(mutex_);
    if (!files_.empty() && files_.back().end < file_bytes_) return files_.back();
  }
  char name[48];
  std::snprintf(name, sizeof name, "events/%020llu.events", static_cast<unsigned long long>(first));
  current_ = folder_.open(name, O_RDWR | O_CREAT | O_TRUNC);
  write_all(current_, name, head_.data(), head_.size(), 0);
  const std::lock_guard lock(mutex_);
  return files_.emplace_back(EventFile{name, head_.size(), {}});
}

std::uint64_t EventLog::first_kept() const {
  for (const EventFile& file : files_)
    if (!file.marks.empty()) return file.marks.front().first;
  return last_sequence() + 1;
}

std::uint64_t EventLog::first_sequence() {
  const std::lock_guard lock(mutex_);
  return first_kept();
}

// The blob to start from for `sequence`, which is in the log.
EventLog::Place EventLog::place_of(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  if (sequence < first_kept())
    throw NotRetained("events after " + std::to_string(sequence - 1) +
                      " are wanted, the oldest kept is " + std::to_string(first_kept()));
  const auto begins_after = [](std::uint64_t wanted, const auto& thing) {
    if constexpr (requires { thing.marks; })
      return thing.marks.empty() || wanted < thing.marks.front().first;
    else
      return wanted < thing.first;
  };
  const EventFile& file = *--std::upper_bound(files_.begin(), files_.end(), sequence, begins_after);
  const auto mark =
      --std::upper_bound(file.marks.begin(), file.marks.end(), sequence, begins_after);
  return {file.name, mark->second, file.end};
}

Descriptor EventLog::open_at(const Place& place, std::uint64_t sequence) {
  try {
    return folder_.open(place.name, O_RDONLY);
  } catch (const FileError&) {
    place_of(sequence);  // dropped meanwhile: NotRetained
    throw;
  }
}

std::optional<EventRange> EventLog::read(std::uint64_t after, std::size_t limit,
                                         std::uint64_t up_to) {
  up_to = std::min(up_to, last_sequence());
  if (after >= up_to) return std::nullopt;
  EventRange range{after + 1, after, {}};
  Place place{{}, 0, 0};
  Descriptor file;
  std::string chunk;
  std::size_t used = 0;  // of the chunk
  while (range.last < up_to && range.data.size() < limit) {
    if (place.offset >= place.end) {
      place = place_of(range.last + 1);
      file = open_at(place, range.last + 1);
      chunk.clear();
      used = 0;
    }
    BlobHead head{};
    const std::size_t left = chunk.size() - used;
    if (left >= sizeof head) std::memcpy(&head, chunk.data() + used, sizeof head);
    if (left < sizeof head || left - sizeof head < head.bytes) {
      const std::size_t wanted = std::max(kChunk, sizeof head + head.bytes);
      chunk.resize(std::min<std::uint64_t>(wanted, place.end - place.offset));
      if (chunk.size() < sizeof head + head.bytes ||
          read_at(file, place.name, chunk.data(), chunk.size(), place.offset) != chunk.size())
        throw EngineFault(Fault::kCorruptSegment, place.name + " is cut off");
      used = 0;
      continue;
    }
    const char* body = chunk.data() + used + sizeof head;
    if (head.magic != kBlobMagic || checksum(head, body) != head.crc)
      throw EngineFault(Fault::kCorruptSegment, place.name + " at " + std::to_string(place.offset) +
                                                    ": remove it, it is rebuilt");
    used += sizeof head + head.bytes;
    place.offset += sizeof head + head.bytes;
    if (head.last <= after) continue;
    take(range.data, body, head.bytes, after, up_to);
    range.last = std::min(head.last, up_to);
  }
  return range;
}

unsigned EventLog::drop_before(std::uint64_t sequence) {
  std::vector<std::string> dropped;
  {
    const std::lock_guard lock(mutex_);
    while (files_.size() > 1 && !files_[1].marks.empty() &&
           files_[1].marks.front().first <= sequence) {
      dropped.push_back(files_.front().name);
      files_.pop_front();
    }
  }
  for (const std::string& name : dropped) folder_.remove(name);
  return static_cast<unsigned>(dropped.size());
}

}  // namespace rialto::server
