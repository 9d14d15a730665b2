// The book that a generated flow keeps of itself, so that it cancels only what still rests and
// knows what each command must be answered with. Price, then time; no money, no accounts.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace rialto {

class FlowBook {
 public:
  static constexpr std::uint32_t kWindow = 1u << 16, kNone = 0xFFFFFFFFu;

  struct Order {
    std::uint64_t id = 0;
    std::uint32_t lots = 0, place = 0, previous = 0, next = 0;
    std::uint32_t live = kNone;  // where it lies in `live`; kNone: never to be cancelled
    int side = 0;
  };

  struct Outcome {
    std::uint32_t fills = 0, makers_gone = 0, lots_left = 0;
  };

  FlowBook() : orders_(1) {
    for (int side = 0; side < 2; ++side) {
      levels_[side].assign(kWindow, {});
      bits_[side].assign(kWindow / 64, 0);
    }
  }

  // Places are ticks from the bottom of the window, in [0, kWindow).
  std::uint32_t best(int side) const { return best_[side]; }
  std::uint32_t live_count() const { return static_cast<std::uint32_t>(live_.size()); }
  const Order& live_order(std::uint32_t at) const { return orders_[live_[at]]; }
  std::uint64_t trades() const { return trades_; }
  std::uint64_t volume() const { return volume_; }
  std::uint32_t resting() const { return resting_; }

  Outcome add(std::uint64_t id, int side, std::uint32_t lots, std::uint32_t place, bool may_rest,
              bool may_cancel) {
    Outcome outcome;
    const std::uint32_t& touch = best_[1 - side];
    while (lots != 0 && touch != kNone && (side == 0 ? touch <= place : touch >= place)) {
      const std::uint32_t slot = levels_[1 - side][touch].head;
      Order& maker = orders_[slot];
      const std::uint32_t fill = std::min(lots, maker.lots);
      lots -= fill;
      maker.lots -= fill;
      ++outcome.fills;
      volume_ += fill;
      if (maker.lots == 0) {
        ++outcome.makers_gone;
        remove(slot);
      }
    }
    trades_ += outcome.fills;
    outcome.lots_left = lots;
    if (lots != 0 && may_rest) rest(id, side, lots, place, may_cancel);
    return outcome;
  }

  void cancel(std::uint32_t at) { remove(live_[at]); }

 private:
  struct Level {
    std::uint32_t head = 0, tail = 0;
  };

  void rest(std::uint64_t id, int side, std::uint32_t lots, std::uint32_t place, bool may_cancel) {
    std::uint32_t slot = free_;
    if (slot != 0) {
      free_ = orders_[slot].next;
    } else {
      slot = static_cast<std::uint32_t>(orders_.size());
      orders_.emplace_back();
    }
    Level& level = levels_[side][place];
    orders_[slot] = {id, lots, place, level.tail, 0, kNone, side};
    if (may_cancel) {
      orders_[slot].live = live_count();
      live_.push_back(slot);
    }
    if (level.head != 0) {
      orders_[level.tail].next = slot;
    } else {
      level.head = slot;
      bits_[side][place >> 6] |= std::uint64_t{1} << (place & 63);
      if (best_[side] == kNone || (side == 0 ? place > best_[side] : place < best_[side]))
        best_[side] = place;
    }
    level.tail = slot;
    ++resting_;
  }

  void remove(std::uint32_t slot) {
    Order& order = orders_[slot];
    Level& level = levels_[order.side][order.place];
    (order.previous != 0 ? orders_[order.previous].next : level.head) = order.next;
    (order.next != 0 ? orders_[order.next].previous : level.tail) = order.previous;
    if (level.head == 0) empty(order.side, order.place);
    if (order.live != kNone) {
      const std::uint32_t last = live_.back();
      live_[order.live] = last;
      orders_[last].live = order.live;
      live_.pop_back();
    }
    order.next = free_;
    free_ = slot;
    --resting_;
  }

  void empty(int side, std::uint32_t place) {
    bits_[side][place >> 6] &= ~(std::uint64_t{1} << (place & 63));
    if (place == best_[side]) best_[side] = side == 0 ? below(place) : above(place);
  }

  std::uint32_t below(std::uint32_t place) const {
    for (std::uint32_t word = (place >> 6) + 1; word-- > 0;)
      if (bits_[0][word] != 0)
        return word * 64 + 63 - static_cast<std::uint32_t>(std::countl_zero(bits_[0][word]));
    return kNone;
  }

  std::uint32_t above(std::uint32_t place) const {
    for (std::uint32_t word = place >> 6; word < kWindow / 64; ++word)
      if (bits_[1][word] != 0)
        return word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits_[1][word]));
    return kNone;
  }

  std::vector<Order> orders_;  // slot 0 is nobody
  std::vector<std::uint32_t> live_;
  std::vector<Level> levels_[2];
  std::vector<std::uint64_t> bits_[2];
  std::uint32_t best_[2] = {kNone, kNone};
  std::uint32_t free_ = 0, resting_ = 0;
  std::uint64_t trades_ = 0, volume_ = 0;
};

}  // namespace rialto
