#include "server.hpp"

#include <algorithm>
#include <chrono>

#include "threads.hpp"

namespace rialto::server {

namespace {

// Where answers do not wait for syncs, readers gather this long for the next one: a sync after the
// other would take from the loop what it needs of a core.
constexpr std::chrono::milliseconds kRest{1};

// Room for more orders than come between two looks.
constexpr std::uint64_t kOrdersAhead = 1 << 16;
// Made so many at a time: who maps memory waits meanwhile, and the loop behind him.
constexpr std::uint64_t kOrdersAtOnce = 1 << 13;
constexpr std::chrono::milliseconds kLook{20};

}  // namespace

Server::Server(std::shared_ptr<SharedEngine> engine, const std::string& root,
               const JournalEnd& journal, const EventLogEnd& events, const LoopOptions& options)
    : folder_(root),
      acks_follow_syncs_(options.ack_policy != AckPolicy::kOs),
      hurry_(options.hurry),
      journal_(folder_, journal, options.hurry,
               [this](Fault fault, const std::string& text) { mailbox_.fail(fault, text); }),
      events_(folder_, events),
      sequencer_(std::move(engine), journal_, events_),
      loop_(options, sequencer_, journal_, events_, mailbox_, times_) {}

void Server::start() {
  if (hurry_) grow_heaps_rarely();
  sequencer_.drive([this] { mailbox_.to_loop.ring(); });
  sync_thread_ = start_thread("journal-sync", [this] { sync_forever(); });
  memory_thread_ = start_thread("memory", [this] { make_room_forever(); });
  loop_thread_ = start_thread("engine-loop", [this] {
    loop_.run([this] {
      writes_.fetch_add(1, std::memory_order_release);
      writes_.notify_one();
    });
  });
}

void Server::stop() {
  if (!loop_thread_.joinable()) return;
  mailbox_.wishes.quit = true;
  mailbox_.to_loop.ring();
  loop_thread_.join();
  sequencer_.forget_driver();
  stopping_ = true;
  writes_.fetch_add(1);
  writes_.notify_one();
  sync_thread_.join();
  memory_thread_.join();
  journal_.close();
}

// One sync covers everything written when it begins; a failed one is never tried again.
void Server::sync_forever() try {
  if (hurry_) hurry_this_thread(Rank::kHelper);  // else it is put to sleep with the file system's locks
  while (!stopping_) {
    const std::uint32_t seen = writes_.load(std::memory_order_acquire);
    if (journal_.written_sequence() == journal_.durable_sequence()) {
      writes_.wait(seen, std::memory_order_acquire);
      continue;
    }
    journal_.sync();
    mailbox_.readable(durable_sequence());
    if (acks_follow_syncs_ || mailbox_.wishes.drain)
      mailbox_.to_loop.ring();
    else
      std::this_thread::sleep_for(kRest);
  }
} catch (const EngineFault& error) {
  mailbox_.fail(error.fault, error.what());
}

void Server::make_room_forever() {
  if (hurry_) hurry_this_thread(Rank::kHelper);  // else it is put to sleep with the process' memory map locked
  while (!stopping_) {
    sequencer_.make_room(kOrdersAhead, kOrdersAtOnce);
    std::this_thread::sleep_for(kLook);
  }
}

std::uint64_t Server::durable_sequence() const {
  return std::min(journal_.durable_sequence(), events_.last_sequence());
}

bool Server::await_readable(std::uint64_t sequence) {
  mailbox_.want_readable(sequence);
  return durable_sequence() > sequence;
}

}  // namespace rialto::server
