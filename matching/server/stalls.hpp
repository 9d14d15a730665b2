// What holds the loop up: the pieces of its work that took long, by what the work was.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rialto::server {

// A round of the loop, piece by piece; matching/native.py names them.
enum class Work : std::uint8_t {
  kReceive,    // connections, bytes from sockets
  kQuestions,  // about the state, from Python
  kJournal,    // check the frames, hash and write the block
  kApply,
  kAnswer,  // sort the events by client and send them
  kEvents,  // write them to the event log
};
inline constexpr std::size_t kWorks = 6;

struct Stall {
  std::uint64_t count, total_ns, longest_ns;
};

// The loop notes; any thread asks, or has it begin anew. Nobody waits.
class Stalls {
 public:
  static constexpr std::uint64_t kSlowNs = 50'000;  // what takes less is no stall

  void note(Work work, std::uint64_t ns) {
    if (ns >= kSlowNs) [[unlikely]]
      add(lines_[static_cast<std::size_t>(work)], ns);
  }

  std::array<Stall, kWorks> told() const {
    std::array<Stall, kWorks> out{};
    if (forget_.load(std::memory_order_acquire)) return out;
    for (std::size_t at = 0; at < kWorks; ++at)
      out[at] = {lines_[at].count.load(std::memory_order_relaxed),
                 lines_[at].total_ns.load(std::memory_order_relaxed),
                 lines_[at].longest_ns.load(std::memory_order_relaxed)};
    return out;
  }

  void forget() { forget_.store(true, std::memory_order_release); }

 private:
  using Number = std::atomic<std::uint64_t>;
  struct Line {
    Number count{0}, total_ns{0}, longest_ns{0};
  };

  void add(Line& line, std::uint64_t ns) {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    if (forget_.load(kRelaxed)) {
      for (Line& each : lines_)
        for (Number* number : {&each.count, &each.total_ns, &each.longest_ns})
          number->store(0, kRelaxed);
      forget_.store(false, std::memory_order_release);
    }
    line.count.store(line.count.load(kRelaxed) + 1, kRelaxed);
    line.total_ns.store(line.total_ns.load(kRelaxed) + ns, kRelaxed);
    if (ns > line.longest_ns.load(kRelaxed)) line.longest_ns.store(ns, kRelaxed);
  }

  std::array<Line, kWorks> lines_;
  std::atomic<bool> forget_{false};
};

}  // namespace rialto::server
