// Where the engine writes its event stripes, and the chain that runs over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <utility>

#include "wire.hpp"

namespace rialto {

// Fills the body of a stripe with these numbers, and zeros after them.
inline void put(EventStripe& stripe, std::initializer_list<std::int64_t> numbers) {
  std::size_t at = 0;
  for (const std::int64_t number : numbers) stripe.body[at++] = static_cast<std::uint64_t>(number);
  while (at < std::size(stripe.body)) stripe.body[at++] = 0;
}

class EventWriter {
 public:
  static constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ull;

  std::uint64_t lanes[8] = {1, 2, 3, 4, 5, 6, 7, 8};

  void start_batch(std::size_t commands) {
    used_ = 0;
    if (size_ < commands * 8 + 64) grow(commands * 8 + 64);
  }

  void begin(std::uint64_t sequence) {
    sequence_ = sequence;
    index_ = 0;
  }

  // Starts an event of `parts` stripes; the caller fills the bodies.
  [[gnu::always_inline]] EventStripe* add(EventType type, unsigned parts, std::uint16_t symbol_id,
                                          std::uint16_t flags) {
    if (used_ + parts > size_) [[unlikely]]
      grow(size_ * 2);
    EventStripe* first = &stripes_[used_];
    used_ += parts;
    std::uint64_t head = event_head(index_++, type, 0, symbol_id, flags);
    for (unsigned part = 0; part < parts; ++part) {
      first[part].sequence = sequence_;
      first[part].head = head | std::uint64_t{part} << 24;
    }
    return first;
  }

  // One more stripe of the event added last; the caller fills all but its sequence.
  EventStripe* add_part() {
    if (used_ == size_) grow(size_ * 2);
    EventStripe* part = &stripes_[used_++];
    part->sequence = sequence_;
    return part;
  }

  // Between these two the events leave index 0 to the outcome, which comes after them.
  std::size_t before_outcome() {
    index_ = 1;
    return used_;
  }
  void await_outcome() { index_ = 0; }

  // Moves the outcome before the `count` stripes at `mark`, which happened before it.
  void outcome_first(std::size_t mark, std::size_t count) {
    EventStripe* const first = &stripes_[mark];
    EventStripe* const outcome = first + count;
    EventStripe* const end = &stripes_[used_];
    EventStripe* rest = outcome;
    while (rest != end && (rest->head & 0xFFFF) == 0) ++rest;
    for (EventStripe* at = rest; at != end; ++at) at->head += count;
    std::rotate(first, outcome, rest);
    index_ = static_cast<std::uint16_t>(index_ + count);
  }

  // Mixes the batch into the chain. Called once a batch, while the stripes are in the cache.
  void seal() {
    std::uint64_t lane[8];
    std::memcpy(lane, lanes, sizeof lane);
    const auto* words = reinterpret_cast<const std::uint64_t*>(stripes_.get());
    for (std::size_t stripe = 0; stripe < used_; ++stripe, words += 8)
      for (int i = 0; i < 8; ++i) {
        const std::uint64_t mixed = words[i] ^ kOdd;
        lane[i] =
            (lane[i] << 29 | lane[i] >> 35) + words[i ^ 1] + (mixed & 0xFFFFFFFFu) * (mixed >> 32);
      }
    std::memcpy(lanes, lane, sizeof lane);
  }

  std::size_t index() const { return index_; }  // of the next event
  const EventStripe* data() const { return stripes_.get(); }
  std::size_t stripes() const { return used_; }

 private:
  // Bare memory: what is written later need not be zero before.
  [[gnu::noinline, gnu::cold]] void grow(std::size_t size) {
    std::unique_ptr<EventStripe[]> wider(new EventStripe[size]);
    if (used_ != 0) std::memcpy(wider.get(), stripes_.get(), used_ * sizeof(EventStripe));
    stripes_ = std::move(wider);
    size_ = size;
  }

  std::unique_ptr<EventStripe[]> stripes_;
  std::size_t size_ = 0, used_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint16_t index_ = 0;
};

}  // namespace rialto
