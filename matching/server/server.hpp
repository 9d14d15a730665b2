// The engine's process in C++: journal, events, loop and their threads, as Python starts them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "core/shared_engine.hpp"
#include "event_log.hpp"
#include "journal.hpp"
#include "loop.hpp"
#include "mailbox.hpp"
#include "sequencer.hpp"

namespace rialto::server {

class Server {
 public:
  // Goes on at the ends that recovery hands over; nobody else writes from here on.
  Server(std::shared_ptr<SharedEngine> engine, const std::string& root, const JournalEnd& journal,
         const EventLogEnd& events, const LoopOptions& options);
  ~Server() { stop(); }

  void start();
  // Ends the threads; what is not drained is not answered.
  void stop();

  Mailbox& mailbox() { return mailbox_; }
  EventLog& events() { return events_; }
  LoopTimes& times() { return times_; }

  std::uint64_t sequence() const { return sequencer_.sequence(); }
  // Up to which readers may read: synced, and in the event log.
  std::uint64_t durable_sequence() const;
  std::uint64_t acknowledged_sequence() const { return loop_.acknowledged(); }

  // Whether something after `sequence` may be read; if not, Python's bell rings once it may.
  bool await_readable(std::uint64_t sequence);

 private:
  void sync_forever();
  void make_room_forever();

  const Folder folder_;
  Mailbox mailbox_;
  const bool acks_follow_syncs_, hurry_;
  Journal journal_;
  EventLog events_;
  Sequencer sequencer_;
  LoopTimes times_;
  Loop loop_;
  std::atomic<std::uint32_t> writes_{0};  // counts; the sync thread sleeps on it
  std::atomic<bool> stopping_{false};
  std::thread loop_thread_, sync_thread_, memory_thread_;
};

}  // namespace rialto::server
