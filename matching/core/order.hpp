// One order, open or closed but not yet forgotten: a cache line, and beside it what is seldom read.
#pragma once

#include <cstdint>

#include "wire.hpp"

namespace rialto {

using Slot = std::uint32_t;  // index of an order; 0 is none

struct Terms {  // as placed, what most orders do not have
  std::int64_t quote_budget;
  std::int64_t expires_us;
  std::int64_t display;   // lots that an iceberg shows at a time
  std::int64_t trigger;   // price that sets it off
  std::int64_t trailing;  // or how far that follows the best price
  std::int64_t list;      // id of the list it came in, given by the engine
  bool operator==(const Terms&) const = default;
};

static_assert(sizeof(Terms) == sizeof EventStripe::body);

inline Terms terms_of(const TermsStripe& stripe) {
  return {stripe.quote_budget, stripe.expires_us, stripe.display,
          stripe.trigger,      stripe.trailing,   0};
}

// The rarer terms of a PLACE_ORDER record; returns whether what must be zero is.
inline bool read_terms(const std::uint8_t* record, Terms& terms) {
  const Command& command = command_at(record);
  const unsigned with_text = command.text_length != 0 ? 2 : 1;
  terms = {};
  if (command.stripes == with_text) return true;
  const auto* more = reinterpret_cast<const TermsStripe*>(record + with_text * kStripe);
  terms = terms_of(*more);
  return more->is_whole();
}

struct Rare {  // beside an order with terms, by slot
  Terms terms;
  std::int64_t hidden;   // lots of an iceberg that neither `remaining` nor `quantity` count
  std::int64_t trigger;  // as it is now
  std::int64_t limit;    // up to which it trades when it is set off; its hold is for that
  std::int64_t covered;  // of its hold, what its sibling holds for it
  std::int64_t entry_lots;  // of a pending order: what its entry has filled, once that ended
  Slot sibling;             // the other one of its OCO, while both are untouched
  std::uint32_t ended;      // of a pending order: whether its entry did
};

// Traits of an order; none for most.
inline constexpr std::uint16_t kHasTerms = 1, kIceberg = 2, kWaiting = 4, kLinked = 8;
// A bracket's child whose entry has not been seen to end; an open order that has, or had, such.
inline constexpr std::uint16_t kPending = 16, kEntry = 32;
// An order that was set off and meets the book: it keeps its place in its account's list meanwhile.
inline constexpr std::uint16_t kActing = 64;

struct alignas(64) Order {
  std::int64_t price;
  std::int64_t remaining;     // of an iceberg: what the book shows
  std::int64_t quantity;      // without what an iceberg hides
  // Written whole when an order is accepted; who changes a part of it reads the number before: a
  // processor cannot hand on to a wide read what a narrow write has just left.
  union {
    std::uint64_t word;
    struct {
      std::uint64_t number : 48;  // dense within the shard; the order id is shard << 48 | number
      std::uint8_t text_length : 6;
      Status status : 2;
      std::uint8_t traits : 7;   // not 0: a `Rare` lies beside it
      std::uint8_t altered : 1;  // not 0: an `Asked` lies beside it
    };
  };
  std::uint64_t key_low;
  std::uint64_t key_high;
  std::uint64_t accepted_sequence;
  std::uint32_t account;  // dense index
  std::uint16_t flags;
  std::uint16_t symbol;  // dense index

  // Of an open order.
  static std::uint64_t word_of(std::uint64_t number, std::uint8_t text_length,
                               std::uint64_t traits) {
    return number | std::uint64_t{text_length} << 48 | traits << 56;
  }
  int side() const { return side_of(flags); }
  std::int64_t filled() const { return quantity - remaining; }
  // Whether it is open and not in the book: it waits, is pending, or acts.
  bool is_outside() const { return (traits & (kWaiting | kPending | kActing)) != 0; }
};
static_assert(sizeof(Order) == 64 && kMaxText < 64);

// The lists an order stands in, by slot: who leaves one touches its neighbours' links alone.
struct Links {
  Slot prev, next;                  // open: its price level; closed: all closed, in closing order
  Slot account_prev, account_next;  // open: the account's open orders; closed: its closed ones
};

// Price and quantity as placed, by slot, once the order's own have become others: a repeat of the
// command asks for these.
struct Asked {
  std::int64_t price, quantity;
};

}  // namespace rialto
