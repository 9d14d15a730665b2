// Where the engine writes its event stripes, and the chain that runs over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "wire.hpp"

namespace rialto {

class EventWriter {
 public:
  static constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ull;

  std::uint64_t lanes[8] = {1, 2, 3, 4, 5, 6, 7, 8};

  void start_batch(std::size_t commands) {
    used_ = 0;
    if (stripes_.size() < commands * 8 + 64) stripes_.resize(commands * 8 + 64);
  }

  void begin(std::uint64_t sequence) {
    sequence_ = sequence;
    index_ = 0;
  }

  // Starts an event of `parts` stripes; the caller fills the bodies.
  EventStripe* add(EventType type, unsigned parts, std::uint16_t symbol_id, std::uint16_t flags) {
    if (used_ + parts > stripes_.size()) stripes_.resize(stripes_.size() * 2);
    EventStripe* first = &stripes_[used_];
    used_ += parts;
    std::uint64_t head = event_head(index_++, type, 0, symbol_id, flags);
    for (unsigned part = 0; part < parts; ++part) {
      first[part].sequence = sequence_;
      first[part].head = head | std::uint64_t{part} << 24;
    }
    return first;
  }

  // Between these two the events leave index 0 to the outcome, which comes after them.
  std::size_t before_outcome() {
    index_ = 1;
    return used_;
  }
  void await_outcome() { index_ = 0; }

  // Moves the outcome before the `count` stripes at `mark`, which happened before it.
  void outcome_first(std::size_t mark, std::size_t count) {
    const auto first = stripes_.begin() + static_cast<std::ptrdiff_t>(mark);
    const auto outcome = first + static_cast<std::ptrdiff_t>(count);
    const auto end = stripes_.begin() + static_cast<std::ptrdiff_t>(used_);
    auto rest = outcome;
    while (rest != end && (rest->head & 0xFFFF) == 0) ++rest;
    for (auto at = rest; at != end; ++at) at->head += count;
    std::rotate(first, outcome, rest);
  }

  // Mixes the batch into the chain. Called once a batch, while the stripes are in the cache.
  void seal() {
    std::uint64_t lane[8];
    std::memcpy(lane, lanes, sizeof lane);
    const auto* words = reinterpret_cast<const std::uint64_t*>(stripes_.data());
    for (std::size_t stripe = 0; stripe < used_; ++stripe, words += 8)
      for (int i = 0; i < 8; ++i) {
        const std::uint64_t mixed = words[i] ^ kOdd;
        lane[i] =
            (lane[i] << 29 | lane[i] >> 35) + words[i ^ 1] + (mixed & 0xFFFFFFFFu) * (mixed >> 32);
      }
    std::memcpy(lanes, lane, sizeof lane);
  }

  const EventStripe* data() const { return stripes_.data(); }
  std::size_t stripes() const { return used_; }

 private:
  std::vector<EventStripe> stripes_;
  std::size_t used_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint16_t index_ = 0;
};

}  // namespace rialto
