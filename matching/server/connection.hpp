// One client of the binary door: its bytes in, its answers out, and which of them may leave.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "core/wire.hpp"
#include "files.hpp"
#include "frames.hpp"
#include "histogram.hpp"

namespace rialto::server {

class Connection {
 public:
  enum class State {
    kGreeting,  // HELLO has not come yet
    kOpen,
    kClosing,  // told why; waits until that is written
    kDead,     // the peer is gone: what it sent is carried out, nothing is answered
  };

  Connection(Descriptor socket, std::uint64_t deadline_ns)
      : deadline_ns(deadline_ns), socket_(std::move(socket)) {}

  State state = State::kGreeting;
  int role = 0;
  std::uint64_t deadline_ns;    // of HELLO, later of the last bytes of a closing one
  std::uint64_t read_ns = 0;    // when the bytes of the frames in the buffer were read
  std::uint32_t in_flight = 0;  // commands without an answer
  bool paused = false;          // too many in flight: not read
  bool queued = false;          // in the loop's list of those that may have frames
  bool touched = false;         // in the loop's list of those that may have answers to send
  bool blocked = false;         // the socket takes no more for now
  std::uint32_t watched = 0;    // epoll's interest; 0: not in epoll

  int fd() const { return socket_.get(); }

  enum class Read { kSome, kNothing, kEnd };
  Read read_some();

  // The next whole frame, which stays until `consume`; throws PeerError for what cannot be one.
  std::optional<Frame> next_frame() const;
  void consume(const Frame& frame);

  // Adds a frame that leaves at once; there is none that waits.
  void add_frame(const FrameHead& head, const void* payload);
  // Adds an answer that leaves when the command `sequence` is acknowledged.
  void add_answer(std::uint64_t correlation, std::span<const EventStripe> events,
                  std::uint64_t sequence, std::uint64_t frame_read_ns, std::uint32_t commands);
  // Lets go the answers of the commands up to `acknowledged`; returns whether there were any.
  bool release(std::uint64_t acknowledged);
  // Takes back what has not been let go: after an error nothing more is answered.
  void drop_waiting();

  bool waiting() const { return !waiting_.empty(); }
  std::uint64_t unsent() const { return released_ - sent_; }

  // Writes what may leave; false when the peer is gone. Records the times of answers that left.
  bool flush(Histogram& times);

 private:
  struct Mark {  // an answer in the outgoing bytes
    std::uint64_t sequence;
    std::uint64_t end;
    std::uint64_t read_ns;
    std::uint32_t commands;
  };

  void append(const void* data, std::size_t size);

  Descriptor socket_;
  std::vector<std::uint8_t> in_ = std::vector<std::uint8_t>(16 << 10);
  std::size_t in_begin_ = 0, in_end_ = 0;
  std::vector<std::uint8_t> out_;
  std::uint64_t out_base_ = 0;  // place of out_[0] among all bytes ever written to this client
  std::uint64_t sent_ = 0, released_ = 0;
  std::deque<Mark> waiting_, leaving_;
};

}  // namespace rialto::server
