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
constexpr std::size_t kRoomAhead = 4 << 20;
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

EventLog::File::File(std::string its_name, std::uint64_t its_end, std::size_t most_marks)
    : name(std::move(its_name)), end(its_end), marks(new Mark[most_marks]) {}

void EventLog::File::mark(std::uint64_t first, std::uint64_t offset) {
  const std::size_t count = mark_count.load(std::memory_order_relaxed);
  marks[count] = {first, offset};
  mark_count.store(count + 1, std::memory_order_release);
}

std::span<const EventLog::Mark> EventLog::File::marked() const {
  return {marks.get(), mark_count.load(std::memory_order_acquire)};
}

EventLog::EventLog(const Folder& folder, const EventLogEnd& end)
    : folder_(folder), head_(end.head), file_bytes_(end.file_bytes), last_(end.last_sequence) {
  for (const EventFile& file : end.files) add_file(file);
  if (newest_ != nullptr) current_ = folder_.open(newest_->name, O_RDWR);
  added_.resize(kRoomAhead);  // its pages are there before the loop needs them
  added_.clear();
}

EventLog::~EventLog() {
  for (File* file = oldest_; file != nullptr;) delete std::exchange(file, file->next.load());
}

// Marks lie at least kIndexEvery apart, and only the blob that fills a file reaches beyond it.
void EventLog::add_file(const EventFile& file) {
  const std::size_t most = std::max(file.marks.size(), file_bytes_ / kIndexEvery) + 2;
  auto* added = new File(file.name, file.end, most);
  for (const auto& [first, offset] : file.marks) added->mark(first, offset);
  (newest_ == nullptr ? oldest_ : newest_->next).store(added, std::memory_order_release);
  newest_ = added;
}

void EventLog::begin_file(std::uint64_t first) {
  char name[48];
  std::snprintf(name, sizeof name, "events/%020llu.events", static_cast<unsigned long long>(first));
  current_ = folder_.open(name, O_RDWR | O_CREAT | O_TRUNC);
  write_all(current_, name, head_.data(), head_.size(), 0);
  add_file({name, head_.size(), {}});
}

void EventLog::append(std::uint64_t first, std::uint64_t last, std::span<const EventStripe> events,
                      std::span<const std::uint64_t, 8> chain) {
  BlobHead head{kBlobMagic, static_cast<std::uint32_t>(events.size_bytes()), first,
                last,       blake2b16(chain.data(), chain.size_bytes()),     0,
                {}};
  head.crc = checksum(head, events.data());
  for (const auto& [data, size] : {std::pair<const void*, std::size_t>{&head, sizeof head},
                                   {events.data(), events.size_bytes()}}) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    added_.insert(added_.end(), bytes, bytes + size);
  }
  blobs_.push_back({first, last, added_.size()});
}

void EventLog::write(std::size_t limit) try {
  while (limit != 0 && !blobs_.empty()) {
    if (newest_ == nullptr || (written_ == begun_ && newest_->end >= file_bytes_))
      begin_file(blobs_.front().first);
    const std::size_t size = part_for_one_file(limit);
    write_all(current_, newest_->name, reinterpret_cast<const char*>(&added_[written_]), size,
              newest_->end + (written_ - begun_));
    written_ += size;
    limit -= size;
    publish();
  }
} catch (const FileError& error) {
  throw EngineFault(Fault::kWriteFailed, error.what());
}

// How many bytes, at most `limit`, go to the newest file: the blob that fills it is its last.
std::size_t EventLog::part_for_one_file(std::size_t limit) const {
  std::size_t end = written_;
  for (const Blob& blob : blobs_) {
    end = blob.end;
    if (end - written_ >= limit || newest_->end + (end - begun_) >= file_bytes_) break;
  }
  return std::min(limit, end - written_);
}

// Tells readers of the blobs that are written whole.
void EventLog::publish() {
  File& file = *newest_;
  while (!blobs_.empty() && blobs_.front().end <= written_) {
    const Blob& blob = blobs_.front();
    const std::uint64_t offset = file.end;
    const std::span<const Mark> marked = file.marked();
    file.end.store(offset + (blob.end - begun_), std::memory_order_release);
    if (marked.empty() || offset - marked.back().offset >= kIndexEvery)
      file.mark(blob.first, offset);
    last_.store(blob.last, std::memory_order_release);
    begun_ = blob.end;
    blobs_.pop_front();
  }
  if (begun_ != added_.size() && begun_ < kRoomAhead) return;
  added_.erase(added_.begin(), added_.begin() + static_cast<std::ptrdiff_t>(begun_));
  for (Blob& blob : blobs_) blob.end -= begun_;
  written_ -= begun_;
  begun_ = 0;
}

std::uint64_t EventLog::first_kept() const {
  for (const File* file = oldest_; file != nullptr; file = file->next)
    if (!file->marked().empty()) return file->marked().front().first;
  return last_sequence() + 1;
}

std::uint64_t EventLog::first_sequence() {
  const std::lock_guard lock(mutex_);
  return first_kept();
}

// The last file that begins at `sequence` or before it; nullptr where that one is not kept.
const EventLog::File* EventLog::file_of(std::uint64_t sequence) const {
  const File* found = nullptr;
  for (const File* file = oldest_; file != nullptr; file = file->next) {
    if (file->marked().empty()) continue;
    if (sequence < file->marked().front().first) break;
    found = file;
  }
  return found;
}

// The blob to start from for `sequence`, which is not beyond the log.
EventLog::Place EventLog::place_of(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  const File* file = file_of(sequence);
  if (file == nullptr)
    throw NotRetained("events after " + std::to_string(sequence - 1) +
                      " are wanted, the oldest kept is " + std::to_string(first_kept()));
  const std::uint64_t end = file->end.load(std::memory_order_acquire);
  const std::span<const Mark> marked = file->marked();
  const auto begins_after = [](std::uint64_t wanted, const Mark& mark) {
    return wanted < mark.first;
  };
  const auto mark = std::upper_bound(marked.begin(), marked.end(), sequence, begins_after) - 1;
  return {file->name, mark->offset, end};
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
    while (File* const file = oldest_) {
      File* const next = file->next.load(std::memory_order_acquire);
      if (next == nullptr || next->marked().empty() || next->marked().front().first > sequence)
        break;
      dropped.push_back(file->name);
      oldest_ = next;
      delete file;
    }
  }
  for (const std::string& name : dropped) folder_.remove(name);
  return static_cast<unsigned>(dropped.size());
}

}  // namespace rialto::server
