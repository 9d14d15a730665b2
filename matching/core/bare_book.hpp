// A book with no feature at all: limits and cancels over dense ids, no accounts, no money, no
// events. It is the ceiling that the benchmark sets beside the engine, and nothing else uses it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace rialto {

class BareBook {
 public:
  // Prices lie in [base, base + kWindow); ids in [1, max_id].
  BareBook(std::int64_t base, std::uint32_t max_id) : nodes_(max_id + 1), base_(base) {
    for (int side = 0; side < 2; ++side) {
      levels_[side].assign(kWindow, {});
      bits_[side].assign(kWindow / 64, 0);
    }
  }

  void add(std::uint32_t id, int side, std::uint32_t quantity, std::int64_t price) {
    const auto place = static_cast<std::uint32_t>(price - base_);
    std::uint32_t& touch = best_[1 - side];
    while (quantity != 0 && touch != kNone && (side == 0 ? touch <= place : touch >= place)) {
      Level& level = levels_[1 - side][touch];
      std::uint32_t maker = level.head;
      do {
        Node& node = nodes_[maker];
        const std::uint32_t fill = std::min(quantity, node.quantity);
        quantity -= fill;
        node.quantity -= fill;
        ++trades;
        volume += fill;
        checksum = (checksum * 1099511628211ull) ^
                   (maker * 0x9E3779B97F4A7C15ull + id * 31ull +
                    static_cast<std::uint64_t>(touch + base_) * 17ull + fill);
        if (node.quantity == 0) maker = node.next;
      } while (quantity != 0 && maker != 0);
      level.head = maker;
      if (maker != 0)
        nodes_[maker].previous = 0;
      else
        empty(1 - side, touch);
    }
    if (quantity != 0) rest(id, side, quantity, place);
  }

  void cancel(std::uint32_t id) {
    Node& node = nodes_[id];
    if (node.quantity == 0) return;
    const int side = static_cast<int>(node.place >> 31);
    const std::uint32_t place = node.place & 0x7FFFFFFFu;
    Level& level = levels_[side][place];
    (node.previous != 0 ? nodes_[node.previous].next : level.head) = node.next;
    (node.next != 0 ? nodes_[node.next].previous : level.tail) = node.previous;
    node.quantity = 0;
    if (level.head == 0) empty(side, place);
  }

  void prefetch(std::uint32_t id) const { __builtin_prefetch(&nodes_[id], 1); }

  std::uint64_t trades = 0, volume = 0, checksum = 0;

  static constexpr std::uint32_t kWindow = 1u << 16;

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFFu;
  struct Node {
    std::uint32_t quantity = 0, previous = 0, next = 0, place = 0;
  };
  struct Level {
    std::uint32_t head = 0, tail = 0;
  };

  void rest(std::uint32_t id, int side, std::uint32_t quantity, std::uint32_t place) {
    Level& level = levels_[side][place];
    nodes_[id] = {quantity, level.tail, 0, place | static_cast<std::uint32_t>(side) << 31};
    if (level.head != 0) {
      nodes_[level.tail].next = id;
    } else {
      level.head = id;
      bits_[side][place >> 6] |= std::uint64_t{1} << (place & 63);
      std::uint32_t& best = best_[side];
      if (best == kNone || (side == 0 ? place > best : place < best)) best = place;
    }
    level.tail = id;
  }

  void empty(int side, std::uint32_t place) {
    levels_[side][place] = {};
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

  std::vector<Node> nodes_;
  std::vector<Level> levels_[2];
  std::vector<std::uint64_t> bits_[2];
  std::uint32_t best_[2] = {kNone, kNone};
  std::int64_t base_;
};

}  // namespace rialto
