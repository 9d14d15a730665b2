// What Python and the loop hand to each other; each side is woken through an eventfd.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fault.hpp"
#include "files.hpp"

namespace rialto::server {

// Things on their way from some threads to one, which takes all there are; nobody waits.
template <typename Thing>
class Tray {
 public:
  Tray() = default;
  Tray(const Tray&) = delete;
  Tray& operator=(const Tray&) = delete;
  ~Tray() { take(); }

  void put(Thing thing) {
    auto* link = new Link{std::move(thing), newest_.load(std::memory_order_relaxed)};
    while (!newest_.compare_exchange_weak(link->before, link, std::memory_order_release,
                                          std::memory_order_relaxed)) {
    }
  }

  // In the order in which they were put.
  std::vector<Thing> take() {
    std::vector<Thing> things;
    std::unique_ptr<Link> link(newest_.exchange(nullptr, std::memory_order_acquire));
    while (link) {
      things.push_back(std::move(link->thing));
      link.reset(link->before);
    }
    std::reverse(things.begin(), things.end());
    return things;
  }

 private:
  struct Link {
    Thing thing;
    Link* before;
  };
  std::atomic<Link*> newest_{nullptr};
};

// An eventfd that is written once until its reader has looked.
class Bell {
 public:
  Bell();
  int fd() const { return fd_.get(); }
  void ring();
  void quiet();  // the reader, before it looks

 private:
  Descriptor fd_;
  std::atomic<bool> rung_{false};
};

struct Submitted {  // commands from Python
  std::uint64_t ticket;
  int role;
  std::string commands;
};

struct Answered {
  std::uint64_t ticket;
  std::string events;
};

struct ClosedConnection {  // for the log
  int fault;
  std::string text;
};

struct Failure {
  Fault fault;
  std::string text;
};

// What Python wants of the loop; wishes are never taken back.
struct Wishes {
  std::atomic<bool> stop_reading{false}, drain{false}, close{false}, quit{false};
};

class Mailbox {
 public:
  Bell to_loop, to_python;
  Wishes wishes;
  std::atomic<bool> drained{false}, closed{false};
  std::atomic<std::uint32_t> connections{0};

  void submit(Submitted submitted);
  std::vector<Submitted> take_submitted() { return submitted_.take(); }

  void listen(int fd);
  std::vector<int> take_listeners() { return listeners_.take(); }

  void answer(std::vector<Answered> answers);
  std::vector<Answered> take_answers();

  void note_closed(int fault, const std::string& text);
  std::vector<ClosedConnection> take_closed();

  // The first failure counts: the engine stops for good. Any thread.
  void fail(Fault fault, const std::string& text);
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  Failure failure();

  // Python: ring when something after `sequence` can be read.
  void want_readable(std::uint64_t sequence) { wanted_.store(sequence); }
  // Whoever moved it, after it moved.
  void readable(std::uint64_t sequence);

 private:
  static constexpr std::size_t kMostNotes = 1000;
  static constexpr std::uint64_t kNobody = ~std::uint64_t{0};

  Tray<Submitted> submitted_;
  Tray<int> listeners_;
  Tray<std::vector<Answered>> answers_;
  Tray<ClosedConnection> closed_;
  std::atomic<std::size_t> notes_{0};
  std::mutex failing_;
  Failure failure_{};
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> wanted_{kNobody};
};

}  // namespace rialto::server
