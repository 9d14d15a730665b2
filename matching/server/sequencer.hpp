// Number, time, journal, apply, events: `matching/sequencer.py` on the loop's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/shared_engine.hpp"
#include "event_log.hpp"
#include "journal.hpp"

namespace rialto::server {

// Commands that are written and applied together: one block of the journal.
class Group {
 public:
  // Takes over whole records and returns how many; throws WireError, taking none, where the bytes
  // do not follow the byte table.
  std::uint32_t add(const std::uint8_t* data, std::size_t size);

  bool fits(std::size_t size) const { return bytes() + size <= kBlockPayloadBytes; }
  std::size_t bytes() const { return (stripes_.size() - 1) * kStripe; }
  std::uint32_t commands() const { return commands_; }
  std::uint8_t* payload() { return stripes_[1].bytes; }

  // The record at `offset`, and how it is taken back: it has to be the last.
  Command& at(std::size_t offset) { return *reinterpret_cast<Command*>(payload() + offset); }
  void cut(std::size_t bytes, std::uint32_t commands);
  void clear() { cut(0, 0); }

 private:
  struct alignas(kStripe) Stripe {
    std::uint8_t bytes[kStripe];
  };
  std::vector<Stripe> stripes_{1};  // the first is the block's head
  std::uint32_t commands_ = 0;
};

class Sequencer {
 public:
  Sequencer(std::shared_ptr<SharedEngine> engine, Journal& journal, EventLog& events);

  // From now on the engine is this thread's.
  void drive(std::function<void()> wake) { engine_ = &shared_->drive(std::move(wake)); }
  // Between two groups, so that all of a group is in the answer or nothing; whether one was asked.
  bool is_asked() const { return shared_->is_asked(); }
  void answer_questions() { shared_->answer(); }
  // After the last group.
  void let_go() { shared_->let_go(); }
  void forget_driver() { shared_->forget_driver(); }

  // Stamps and journals the group.
  void write(Group& group);
  // Applies what was written; returns its events, good until the next call.
  std::span<const EventStripe> apply(Group& group);

  // Adds the events of the last group to the log: they may follow the answers, being derived.
  void add_events();

  // Any thread: has memory made for `count` more orders than there have been, `at_once` at a time;
  // the loop would wait for each new page, a virtual machine's host included.
  void make_room(std::uint64_t count, std::uint64_t at_once);

  std::uint64_t sequence() const { return sequence_.load(std::memory_order_acquire); }

 private:
  const std::shared_ptr<SharedEngine> shared_;
  Engine* engine_ = nullptr;  // while driven
  Journal& journal_;
  EventLog& log_;
  std::atomic<std::uint64_t> sequence_;
  std::atomic<std::uint64_t> slots_{0};  // orders in memory
  std::uint64_t room_ = 0;               // made so far; of the thread that makes it
  std::int64_t last_us_;
  std::uint64_t first_;  // of the last group
  std::span<const EventStripe> events_;
};

}  // namespace rialto::server
