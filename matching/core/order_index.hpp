// (account, client key) -> order: linear probing over 8-byte cells, deletion by backward shift.
#pragma once

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

// A cell keeps 32 bits of the hash, which is also where it wants to be: no order is touched
// before the tag agrees, and growing needs no order at all.
class OrderIndex {
 public:
  explicit OrderIndex(unsigned bits) { reset(bits); }

  // Makes room for `count` orders, so that none of the first `count` has to wait for growth.
  void reserve(std::uint64_t count) {
    while (mask_ + 1 < count * 2) grow();
    cells_->prefault(mask_ + 1);
  }

  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&(*cells_)[hash & mask_]); }

  // The first order with this hash, good enough to prefetch; no order is touched.
  Slot guess(std::uint64_t hash) const {
    const auto tag = static_cast<std::uint32_t>(hash);
    for (std::uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Cell cell = (*cells_)[at];
      if (cell.slot == 0 || cell.tag == tag) return cell.slot;
    }
  }

  template <typename Same>
  Slot find(std::uint64_t hash, Same same) const {
    const auto tag = static_cast<std::uint32_t>(hash);
    for (std::uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Cell cell = (*cells_)[at];
      if (cell.slot == 0) return 0;
      if (cell.tag == tag && same(cell.slot)) return cell.slot;
    }
  }

  void insert(std::uint64_t hash, Slot slot) {
    if (++count_ * 2 > mask_ + 1) grow();
    place(Cell{static_cast<std::uint32_t>(hash), slot});
  }

  void erase(std::uint64_t hash, Slot slot) {
    std::uint64_t at = hash & mask_;
    while ((*cells_)[at].slot != slot) at = (at + 1) & mask_;
    --count_;
    for (std::uint64_t next = (at + 1) & mask_;; next = (next + 1) & mask_) {
      const Cell cell = (*cells_)[next];
      if (cell.slot == 0) break;
      const std::uint64_t home = cell.tag & mask_;
      if (((next - home) & mask_) >= ((next - at) & mask_)) {
        (*cells_)[at] = cell;
        at = next;
      }
    }
    (*cells_)[at] = Cell{0, 0};
  }

  std::uint64_t count() const { return count_; }

 private:
  struct Cell {
    std::uint32_t tag;
    Slot slot;
  };

  void reset(unsigned bits) {
    cells_ = std::make_unique<Arena<Cell>>(std::size_t{1} << bits);
    mask_ = (std::uint64_t{1} << bits) - 1;
    bits_ = bits;
  }

  void place(Cell cell) {
    std::uint64_t at = cell.tag & mask_;
    while ((*cells_)[at].slot != 0) at = (at + 1) & mask_;
    (*cells_)[at] = cell;
  }

  void grow() {
    if (bits_ >= 31) throw std::length_error("the order index is full");
    const std::unique_ptr<Arena<Cell>> old = std::move(cells_);
    const std::uint64_t size = mask_ + 1;
    reset(bits_ + 1);
    for (std::uint64_t at = 0; at < size; ++at)
      if ((*old)[at].slot != 0) place((*old)[at]);
  }

  std::unique_ptr<Arena<Cell>> cells_;
  std::uint64_t mask_ = 0;
  std::uint64_t count_ = 0;
  unsigned bits_ = 0;
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
