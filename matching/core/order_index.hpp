// (account, client key) -> order, and order number -> order.
#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "order.hpp"

namespace rialto {

inline std::uint64_t identity_hash(std::uint64_t account_id, std::uint64_t low,
                                   std::uint64_t high) {
  const std::uint64_t account = account_id * 0x9E3779B97F4A7C15ull;
  const auto product = static_cast<unsigned __int128>(low ^ account ^ 0x2545F4914F6CDD1Dull) *
                       (high ^ 0xBF58476D1CE4E5B9ull);
  const auto h = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  return (h ^ (h >> 32)) * 0x94D049BB133111EBull;
}

// Ten orders to a cache line, each by 16 bits of its hash: a look-up reads one line and, only where
// the tag agrees, one order. A line counts the orders that wanted it when it was full and live
// further on; a search ends at the first line that nobody passed.
//
// A full index grows to twice its size without a pause: each order that comes in then carries a few
// lines of the old table over, and until all are there a search that fails looks there, too.
class OrderIndex {
 public:
  explicit OrderIndex(unsigned bits) : now_(bits) {}

  // Makes room for `count` orders, so that none of the first `count` meets growth.
  template <typename HashOf, typename Prefetch>
  void reserve(std::uint64_t count, HashOf hash_of, Prefetch prefetch) {
    while (now_.room() < count) {
      grow(hash_of, prefetch);
      carry(old_->size(), hash_of, prefetch);
    }
    now_.lines->prefault(now_.size());
  }

  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&now_.first(hash), 1); }

  // An order with this hash in its first line, good enough to prefetch; no order is touched.
  [[gnu::always_inline]] Slot guess(std::uint64_t hash) const {
    const Line& line = now_.first(hash);
    const unsigned found = matches(line, tag_of(hash));
    return found == 0 ? 0 : line.slots[std::countr_zero(found)];
  }

  template <typename Same>
  [[gnu::always_inline]] Slot find(std::uint64_t hash, Same same) const {
    const Slot slot = now_.find(hash, same);
    if (slot == 0 && old_) [[unlikely]]
      return old_->find(hash, same);
    return slot;
  }

  // While the index grows, `hash_of(slot)` is asked for orders, after `prefetch(slot)`.
  template <typename HashOf, typename Prefetch>
  void insert(std::uint64_t hash, Slot slot, HashOf hash_of, Prefetch prefetch) {
    if (count_ == now_.room()) [[unlikely]]
      grow(hash_of, prefetch);
    if (old_) [[unlikely]]
      carry(kCarried, hash_of, prefetch);
    ++count_;
    now_.place(hash, slot);
  }

  void erase(std::uint64_t hash, Slot slot) {
    --count_;
    const auto same = [slot](Slot other) { return other == slot; };
    if (old_ && now_.find(hash, same) == 0) [[unlikely]]
      old_->erase(hash, slot);
    else
      now_.erase(hash, slot);
  }

  std::uint64_t count() const { return count_; }

 private:
  static constexpr unsigned kCells = 10;
  static constexpr std::uint64_t kAhead = 3;    // lines, when growing
  static constexpr std::uint64_t kCarried = 2;  // lines an order; half of one would be in time
  static constexpr std::uint16_t kEmpty = 0;
  static constexpr std::uint16_t kMany = 0xFFFF;  // once this many passed, nobody counts any more

  struct alignas(64) Line {
    std::uint16_t tags[kCells];
    std::uint16_t passed;
    std::uint16_t zero;
    Slot slots[kCells];
  };
  static_assert(sizeof(Line) == 64);

  static std::uint16_t tag_of(std::uint64_t hash) {
    return static_cast<std::uint16_t>(std::max<std::uint64_t>(hash & 0xFFFF, 1));
  }

  // One bit for each cell with this tag.
  static unsigned matches(const Line& line, std::uint16_t tag) {
    const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
    const auto* words = reinterpret_cast<const __m128i*>(&line);
    const __m128i first = _mm_cmpeq_epi16(_mm_load_si128(words), wanted);
    const __m128i rest = _mm_cmpeq_epi16(_mm_load_si128(words + 1), wanted);
    const int bits = _mm_movemask_epi8(_mm_packs_epi16(first, rest));
    return static_cast<unsigned>(bits) & ((1u << kCells) - 1);
  }

  struct Table {
    std::unique_ptr<Arena<Line>> lines;
    std::uint64_t mask;
    unsigned shift;

    explicit Table(unsigned bits)
        : lines(std::make_unique<Arena<Line>>(std::size_t{1} << bits)),
          mask((std::uint64_t{1} << bits) - 1),
          shift(64 - bits) {}

    std::uint64_t size() const { return mask + 1; }
    std::uint64_t room() const { return size() * (kCells - 2); }  // 80 %
    std::uint64_t home(std::uint64_t hash) const { return hash >> shift; }
    const Line& first(std::uint64_t hash) const { return (*lines)[home(hash)]; }

    template <typename Same>
    [[gnu::always_inline]] Slot find(std::uint64_t hash, Same same) const {
      const std::uint16_t tag = tag_of(hash);
      for (std::uint64_t at = home(hash);; at = (at + 1) & mask) {
        const Line& line = (*lines)[at];
        for (unsigned found = matches(line, tag); found != 0; found &= found - 1) {
          const Slot slot = line.slots[std::countr_zero(found)];
          if (same(slot)) return slot;
        }
        if (line.passed == 0) return 0;
      }
    }

    [[gnu::always_inline]] void place(std::uint64_t hash, Slot slot) {
      for (std::uint64_t at = home(hash);; at = (at + 1) & mask) {
        Line& line = (*lines)[at];
        if (const unsigned free = matches(line, kEmpty); free != 0) [[likely]] {
          const int cell = std::countr_zero(free);
          line.tags[cell] = tag_of(hash);
          line.slots[cell] = slot;
          return;
        }
        if (line.passed != kMany) ++line.passed;
      }
    }

    // It must be here: lines on the way to it are passed by one less.
    [[gnu::always_inline]] void erase(std::uint64_t hash, Slot slot) {
      const std::uint16_t tag = tag_of(hash);
      for (std::uint64_t at = home(hash);; at = (at + 1) & mask) {
        Line& line = (*lines)[at];
        for (unsigned found = matches(line, tag); found != 0; found &= found - 1) {
          const int cell = std::countr_zero(found);
          if (line.slots[cell] != slot) continue;
          line.tags[cell] = kEmpty;
          return;
        }
        if (line.passed != kMany) --line.passed;
        if (((at + 1) & mask) == home(hash)) throw std::logic_error("no such order in the index");
      }
    }
  };

  template <typename HashOf, typename Prefetch>
  [[gnu::noinline, gnu::cold]] void grow(HashOf hash_of, Prefetch prefetch) {
    if (now_.shift <= 36) throw std::length_error("the order index is full");
    if (old_) carry(old_->size(), hash_of, prefetch);
    old_ = std::make_unique<Table>(std::move(now_));
    now_ = Table(64 - old_->shift + 1);
    carried_ = 0;
  }

  // Moves the next `count` lines of the old table over. What passed a line there still counts as
  // having passed it: a search goes further than it must, never less far.
  template <typename HashOf, typename Prefetch>
  [[gnu::noinline, gnu::cold]] void carry(std::uint64_t count, HashOf hash_of, Prefetch prefetch) {
    const std::uint64_t size = old_->size();
    for (const std::uint64_t end = std::min(size, carried_ + count); carried_ < end; ++carried_) {
      if (carried_ + kAhead < size)
        for (const Slot slot : (*old_->lines)[carried_ + kAhead].slots) prefetch(slot);
      Line& line = (*old_->lines)[carried_];
      for (unsigned cell = 0; cell < kCells; ++cell) {
        if (line.tags[cell] == kEmpty) continue;
        now_.place(hash_of(line.slots[cell]), line.slots[cell]);
        line.tags[cell] = kEmpty;
      }
    }
    if (carried_ == size) old_.reset();
  }

  Table now_;
  std::unique_ptr<Table> old_;  // while the index grows
  std::uint64_t carried_ = 0;   // lines of it
  std::uint64_t count_ = 0;
};

// Order number -> order, in pages that come and go: numbers are dense, lives are not.
class OrderPages {
 public:
  Slot find(std::uint64_t number) const {
    const std::uint64_t page = number >> kBits;
    if (page >= pages_.size() || !pages_[page]) return 0;
    return pages_[page]->slots[number & kMask];
  }

  void prefetch(std::uint64_t number) const {
    const std::unique_ptr<Page>& page = pages_[number >> kBits];
    if (page) __builtin_prefetch(&page->slots[number & kMask], 1);
  }

  void set(std::uint64_t number, Slot slot) {
    const std::uint64_t page = number >> kBits;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (!pages_[page]) pages_[page] = std::make_unique<Page>();
    pages_[page]->slots[number & kMask] = slot;
    ++pages_[page]->used;
  }

  void clear(std::uint64_t number) {
    std::unique_ptr<Page>& page = pages_[number >> kBits];
    page->slots[number & kMask] = 0;
    if (--page->used == 0) page.reset();
  }

  // How many numbers lead to an order; it looks at every page.
  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const std::unique_ptr<Page>& page : pages_) sum += page ? page->used : 0;
    return sum;
  }

 private:
  static constexpr unsigned kBits = 12;
  static constexpr std::uint64_t kMask = (1u << kBits) - 1;
  struct Page {
    Slot slots[1u << kBits] = {};
    std::uint32_t used = 0;
  };
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace rialto
