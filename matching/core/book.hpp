// One market's price levels: a window of ticks around the touch with a bitmap, a map outside it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <vector>

#include "arena.hpp"
#include "order.hpp"

namespace rialto {

struct Level {
  Slot head = 0, tail = 0;  // first in time, last in time
};

inline constexpr std::int64_t kNoPrice = -1;  // prices are positive

class Book {
 public:
  Book(const Arena<Order>& orders, Arena<Links>& links) : orders_(orders), links_(links) {
    for (int side = 0; side < 2; ++side) bits_[side].assign(kWords, 0);
    levels_.resize(kWindow);
  }

  std::int64_t best(int side) const { return best_[side]; }

  Slot first(int side) const { return best_[side] == kNoPrice ? 0 : at(side, best_[side]).head; }

  // Whether an order at `price` of the opposite side would meet this side's best.
  static bool crosses(int maker_side, std::int64_t best, std::int64_t limit) {
    return maker_side == kBuy ? best >= limit : best <= limit;
  }

  void add(Slot slot) {
    const Order& order = orders_[slot];
    const int side = order.side();
    Level& level = make(side, order.price);
    Links& links = links_[slot];
    links.next = 0;
    links.prev = level.tail;
    if (level.tail != 0) {
      links_[level.tail].next = slot;
    } else {
      level.head = slot;
      if (best_[side] == kNoPrice || better(side, order.price, best_[side]))
        best_[side] = order.price;
    }
    level.tail = slot;
  }

  [[gnu::always_inline]] void remove(Slot slot) {
    const Order& order = orders_[slot];
    const int side = order.side();
    Level& level = at(side, order.price);
    const Links& links = links_[slot];
    if (links.prev != 0)
      links_[links.prev].next = links.next;
    else
      level.head = links.next;
    if (links.next != 0)
      links_[links.next].prev = links.prev;
    else
      level.tail = links.prev;
    if (level.head == 0) drop(side, order.price);
  }

  // The next price after `price`, worse for its side, or kNoPrice.
  std::int64_t next_price(int side, std::int64_t price) const {
    std::int64_t found = kNoPrice;
    if (side == kBuy) {
      if (price > base_) found = below(std::min(price - base_, kWindow) - 1);
      auto it = spill_[side].lower_bound(price);
      if (it != spill_[side].begin()) {
        const std::int64_t outside = std::prev(it)->first;
        if (found == kNoPrice || outside > found) found = outside;
      }
    } else {
      if (price - base_ < kWindow - 1) found = above(std::max<std::int64_t>(price - base_ + 1, 0));
      auto it = spill_[side].upper_bound(price);
      if (it != spill_[side].end() && (found == kNoPrice || it->first < found)) found = it->first;
    }
    return found;
  }

  const Level& at(int side, std::int64_t price) const {
    return inside(price) ? levels_[static_cast<std::size_t>(price - base_)]
                         : spill_[side].find(price)->second;
  }

  // Good enough to prefetch: the last order of a level in the window, the best level's first.
  Slot tail_guess(std::int64_t price) const {
    return inside(price) ? levels_[static_cast<std::size_t>(price - base_)].tail : 0;
  }
  Slot first_guess(int side) const {
    return inside(best_[side]) ? levels_[static_cast<std::size_t>(best_[side] - base_)].head : 0;
  }

  void prefetch(std::int64_t price) const {
    if (inside(price)) __builtin_prefetch(&levels_[static_cast<std::size_t>(price - base_)]);
  }

 private:
  static constexpr std::int64_t kWindow = 1 << 14;
  static constexpr std::size_t kWords = kWindow / 64;
  static constexpr std::uint32_t kMovePause = 256;  // spilled levels between two moves

  static bool better(int side, std::int64_t price, std::int64_t than) {
    return side == kBuy ? price > than : price < than;
  }

  bool inside(std::int64_t price) const {  // of any price at all: prefetching asks unchecked ones
    return static_cast<std::uint64_t>(price) - static_cast<std::uint64_t>(base_) <
           static_cast<std::uint64_t>(kWindow);
  }

  Level& at(int side, std::int64_t price) {
    return inside(price) ? levels_[static_cast<std::size_t>(price - base_)]
                         : spill_[side].find(price)->second;
  }

  Level& make(int side, std::int64_t price) {
    if (!inside(price)) {
      const bool leads = best_[side] == kNoPrice || better(side, price, best_[side]);
      if (!leads || ++spilled_ < kMovePause) return spill_[side][price];
      spilled_ = 0;
      move_window(price);
    }
    const auto place = static_cast<std::size_t>(price - base_);
    bits_[side][place >> 6] |= std::uint64_t{1} << (place & 63);
    return levels_[place];
  }

  void drop(int side, std::int64_t price) {
    if (inside(price)) {
      const auto place = static_cast<std::size_t>(price - base_);
      bits_[side][place >> 6] &= ~(std::uint64_t{1} << (place & 63));
    } else {
      spill_[side].erase(price);
    }
    if (price == best_[side]) best_[side] = next_price(side, price);
  }

  std::int64_t below(std::int64_t place) const {
    auto word = static_cast<std::int64_t>(place >> 6);
    std::uint64_t bits =
        bits_[0][static_cast<std::size_t>(word)] & (~std::uint64_t{0} >> (63 - (place & 63)));
    while (bits == 0) {
      if (--word < 0) return kNoPrice;
      bits = bits_[0][static_cast<std::size_t>(word)];
    }
    return base_ + word * 64 + 63 - std::countl_zero(bits);
  }

  std::int64_t above(std::int64_t place) const {
    auto word = static_cast<std::size_t>(place >> 6);
    std::uint64_t bits = bits_[1][word] & (~std::uint64_t{0} << (place & 63));
    while (bits == 0) {
      if (++word == kWords) return kNoPrice;
      bits = bits_[1][word];
    }
    return base_ + static_cast<std::int64_t>(word) * 64 + std::countr_zero(bits);
  }

  void move_window(std::int64_t price) {
    for (int side = 0; side < 2; ++side) {
      for (std::size_t word = 0; word < kWords; ++word) {
        while (bits_[side][word] != 0) {
          const auto place =
              word * 64 + static_cast<std::size_t>(std::countr_zero(bits_[side][word]));
          bits_[side][word] &= bits_[side][word] - 1;
          spill_[side][base_ + static_cast<std::int64_t>(place)] = levels_[place];
          levels_[place] = Level{};
        }
      }
    }
    base_ = std::max<std::int64_t>(0, price - kWindow / 2);
    base_ = std::min(base_, kInt64Max - (kWindow - 1));  // its last price is the last there is
    for (int side = 0; side < 2; ++side) {
      auto it = spill_[side].lower_bound(base_);
      while (it != spill_[side].end() && inside(it->first)) {
        const auto place = static_cast<std::size_t>(it->first - base_);
        levels_[place] = it->second;
        bits_[side][place >> 6] |= std::uint64_t{1} << (place & 63);
        it = spill_[side].erase(it);
      }
    }
  }

  const Arena<Order>& orders_;
  Arena<Links>& links_;
  std::int64_t base_ = 0;
  std::int64_t best_[2] = {kNoPrice, kNoPrice};
  std::vector<Level> levels_;
  std::vector<std::uint64_t> bits_[2];
  std::map<std::int64_t, Level> spill_[2];
  std::uint32_t spilled_ = kMovePause - 1;  // the first price of all moves the window
};

}  // namespace rialto
