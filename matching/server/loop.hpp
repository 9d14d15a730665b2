// The engine's loop: one thread that reads frames, groups them, has them sequenced and answers.
//
// All frames that a round of epoll has read become one group: one block of the journal, one batch
// of the engine. Its rules are those of infra/engine_host.py and infra/engine_server.py.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection.hpp"
#include "histogram.hpp"
#include "journal.hpp"
#include "mailbox.hpp"
#include "sequencer.hpp"
#include "stalls.hpp"
#include "threads.hpp"

namespace rialto::server {

// What an answer waits for: `os` survives a killed process, `fsync` a power loss.
enum class AckPolicy { kOs, kFsync };

inline constexpr std::size_t kRoles = 16;

struct RoleRights {
  std::string token;  // empty: nobody has this role
  std::bitset<256> opcodes;
};

struct Limits {
  std::uint64_t handshake_ns;
  std::uint64_t hurried_handshake_ns;  // when all places are taken and one more client comes
  std::uint32_t max_in_flight;
  std::uint64_t max_unsent_bytes;
  std::uint32_t max_connections;
  std::uint32_t commands_per_group;
  std::uint64_t busy_poll_ns;  // after the last work, before the loop sleeps
};

// What the loop tells of itself: it writes, anybody reads.
struct LoopTimes {
  Histogram service;  // from a frame's read to its answer written
  Stalls stalls;
  std::atomic<Priority> priority{Priority::kNormal};
  // Of the thread, as of the last question.
  std::atomic<std::uint64_t> queued_ns{0}, pushed_aside{0}, page_faults{0};
};

struct LoopOptions {
  std::uint32_t shard;
  std::uint64_t build_id;
  std::uint16_t schema;
  AckPolicy ack_policy;
  bool hurry;  // ask the system to let the loop go before others
  Limits limits;
  std::array<RoleRights, kRoles> roles;
};

class Loop {
 public:
  Loop(LoopOptions options, Sequencer& sequencer, Journal& journal, EventLog& events,
       Mailbox& mailbox, LoopTimes& times);

  // Until it is told to quit; `written` is called when there is something to sync.
  template <typename Written>
  void run(Written written) {
    begin();
    while (!quitting_) round(written);
    finish();
  }

  // Up to which sequence answers may leave.
  std::uint64_t acknowledged() const;

 private:
  struct Job {  // a frame's, or Python's, commands in the group
    Connection* connection;
    std::uint64_t id;  // correlation or ticket
    std::uint64_t read_ns;
    std::uint32_t commands;  // with the refused ones
    std::uint32_t kept;
    std::vector<EventStripe> refusals;  // of sequence 0; empty: none
    std::vector<bool> refused;          // by command
  };
  struct WaitingAnswer {
    std::uint64_t sequence;
    Answered answer;
  };

  template <typename Written>
  void round(Written& written) {
    wait();
    if (mailbox_.failed()) {
      if (!stopped_reading_) stop_reading();
      return;
    }
    try {
      lap_ns_ = monotonic_ns();
      if (run_group()) {
        if (options_.ack_policy == AckPolicy::kFsync) written();
        answer_group();
        if (options_.ack_policy == AckPolicy::kOs) written();
      }
      release();
      lap(Work::kAnswer);
      keep_events();
      drain();
    } catch (const EngineFault& error) {
      mailbox_.fail(error.fault, error.what());
    } catch (const std::exception& error) {
      mailbox_.fail(Fault::kOther, error.what());
    }
  }

  void begin();
  void wait();
  // Since the last lap the loop did this.
  void lap(Work work) {
    const std::uint64_t now = monotonic_ns();
    times_.stalls.note(work, now - lap_ns_);
    lap_ns_ = now;
  }
  int timeout_ms(std::uint64_t now) const;
  void look_at_mail();
  void watch_listener(std::size_t at, int how);
  void accept_all(std::size_t listener);
  bool has_room();
  void watch(Connection& connection);
  void serve(Connection& connection, std::uint32_t ready);
  void enforce_deadlines(std::uint64_t now);

  bool run_group();
  void take_jobs();
  void take_frames(Connection& connection);
  void take_submitted();
  void take_commands(Job job, int role, const std::uint8_t* data, std::size_t size);
  void greet(Connection& connection, const Frame& frame);
  bool group_is_full() const;
  bool overdue_tick(std::uint64_t now) const;
  bool due_tick(std::uint64_t now) const;
  void add_tick(std::uint64_t now);

  void answer_group();
  void keep_events();
  void answer(Job& job, std::span<const EventStripe> events, std::uint64_t sequence);
  void release();
  void send(Connection& connection);
  void queue(Connection& connection);
  void touch(Connection& connection);

  void end(Connection& connection, FrameFault fault, const std::string& text);
  void lose(Connection& connection);
  void bury();
  void stop_reading();
  void drain();
  void close_all();
  void finish();

  const LoopOptions options_;
  Sequencer& sequencer_;
  Journal& journal_;
  EventLog& events_log_;
  Mailbox& mailbox_;
  LoopTimes& times_;

  Descriptor epoll_;
  std::vector<Descriptor> listeners_;
  std::uint64_t accept_again_ns_ = 0;  // out of descriptors: listeners rest until then
  std::vector<std::unique_ptr<Connection>> connections_;
  std::deque<Connection*> queue_;     // may have whole frames in their buffers
  std::vector<Connection*> touched_;  // may have answers to send
  std::deque<Submitted> submitted_;

  Group group_;
  std::vector<Job> jobs_;
  std::span<const EventStripe> events_;
  std::vector<EventStripe> merged_;
  std::deque<WaitingAnswer> waiting_answers_;

  std::optional<ThreadMeter> meter_;
  std::uint64_t last_write_ns_;
  std::uint64_t last_tick_ns_;
  std::uint64_t lap_ns_ = 0;
  std::uint64_t last_work_ns_ = 0;
  std::uint64_t behind_since_ns_ = 0;  // the oldest event that is not kept yet, where there is one
  bool nothing_waits_ = false;         // when the loop looked last
  bool stopped_reading_ = false, draining_ = false, closed_ = false, quitting_ = false;
};

}  // namespace rialto::server
