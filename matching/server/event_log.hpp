// The events family of matching/event_log.py: appended by the loop, read by anyone meanwhile.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/wire.hpp"
#include "files.hpp"

namespace rialto::server {

// A file of the family: where its blobs end, and (first sequence, offset) of some of them.
struct EventFile {
  std::string name;
  std::uint64_t end;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> marks;
};

// What recovery found.
struct EventLogEnd {
  std::string head;  // the 64 bytes that begin each file
  std::size_t file_bytes;
  std::uint64_t last_sequence;
  std::vector<EventFile> files;
};

struct EventRange {
  std::uint64_t first, last;
  std::string data;
};

// The wanted events are older than what is kept.
struct NotRetained : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class EventLog {
 public:
  EventLog(const Folder& folder, const EventLogEnd& end);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Loop thread: adds the events of the commands `first` to `last`; `chain` is the engine's. They
  // are kept, and can be read, once they are written.
  void append(std::uint64_t first, std::uint64_t last, std::span<const EventStripe> events,
              std::span<const std::uint64_t, 8> chain);

  // Loop thread: how many bytes were added and are not written.
  std::size_t behind() const { return added_.size() - written_; }

  // Loop thread: writes about `limit` bytes of what is behind.
  void write(std::size_t limit);

  // Events of `after` + 1 and on, whole commands, at most `up_to`, about `limit` bytes.
  std::optional<EventRange> read(std::uint64_t after, std::size_t limit, std::uint64_t up_to);

  std::uint64_t first_sequence();
  std::uint64_t last_sequence() const { return last_.load(std::memory_order_acquire); }

  // Removes the files that hold only sequences below `sequence`; returns how many.
  unsigned drop_before(std::uint64_t sequence);

 private:
  struct Place {
    std::string name;
    std::uint64_t offset, end;
  };
  struct Mark {
    std::uint64_t first, offset;
  };
  struct Blob {  // of what is behind
    std::uint64_t first, last;
    std::size_t end;  // in `added_`
  };

  // A file as the loop writes it and others read it at the same time: what it has added is there
  // before the counts that tell of it.
  struct File {
    File(std::string its_name, std::uint64_t its_end, std::size_t most_marks);
    void mark(std::uint64_t first, std::uint64_t offset);
    std::span<const Mark> marked() const;

    const std::string name;
    std::atomic<std::uint64_t> end;
    const std::unique_ptr<Mark[]> marks;
    std::atomic<std::size_t> mark_count{0};
    std::atomic<File*> next{nullptr};
  };

  void add_file(const EventFile& file);
  void begin_file(std::uint64_t first);
  std::size_t part_for_one_file(std::size_t limit) const;
  void publish();
  const File* file_of(std::uint64_t sequence) const;  // with the mutex
  std::uint64_t first_kept() const;                   // with the mutex
  Place place_of(std::uint64_t sequence);
  Descriptor open_at(const Place& place, std::uint64_t sequence);

  const Folder& folder_;
  const std::string head_;
  const std::size_t file_bytes_;
  std::atomic<std::uint64_t> last_;
  Descriptor current_;
  File* newest_ = nullptr;  // the loop's; never dropped

  // What is added and not published: the first blob begins at `begun_`, and all before `written_` is
  // in the file.
  std::vector<std::uint8_t> added_;
  std::deque<Blob> blobs_;
  std::size_t begun_ = 0, written_ = 0;

  // From the oldest to the newest. The loop links new ones to the end and takes no lock; those who
  // read and who drops have one among themselves.
  std::mutex mutex_;
  std::atomic<File*> oldest_{nullptr};
};

}  // namespace rialto::server
