// Everything the engine knows: markets, accounts, balances, orders, windows, counters.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "book.hpp"
#include "order.hpp"
#include "order_index.hpp"
#include "perpetual.hpp"
#include "wire.hpp"

namespace rialto {

inline constexpr std::uint32_t kNone32 = 0xFFFFFFFFu;
inline constexpr std::uint16_t kNone16 = 0xFFFF;

struct Rules {
  std::uint16_t symbol_id, base_asset_id, quote_asset_id;
  std::int64_t base_per_lot, quote_per_tick_lot;
  std::int32_t max_taker_fee_ppm;  // what buys hold at; no rate exceeds it
  std::int64_t band_ppm, listing_ticks, max_order_lots;
  std::uint32_t max_open_orders;
  std::int64_t max_position_lots;  // 0: no bound
  FeeTable fees;
};

struct StatusReason {  // who set a market's state or the shard's mode, when and why
  std::int64_t cause = 0;
  std::uint64_t sequence = 0;
  std::int64_t time_us = 0;
  StatusStripes said{};
};
static_assert(sizeof(StatusReason) == 152);

// The orders of a market that wait for one source's price, and what it has said that they have not
// been held against yet.
struct Waits {
  std::set<std::pair<std::int64_t, std::uint64_t>> rising, falling;  // (price or -price, number)
  std::set<std::uint64_t> trailing;  // numbers of those whose trigger follows
  std::int64_t low = 0, high = 0;    // 0: nothing

  void note(std::int64_t price) {
    low = low == 0 ? price : std::min(low, price);
    high = std::max(high, price);
  }
};

struct Market {
  Market(const Rules& given, const Arena<Order>& orders, Arena<Links>& links)
      : rules(given), book(orders, links) {}
  Rules rules;
  std::uint16_t at = 0;               // dense index of itself
  std::uint16_t base = 0, quote = 0;  // dense asset indices
  int state = kOpen;
  std::unique_ptr<Perpetual> perpetual;  // none of a spot market
  bool has_stakes = false;  // its fills may take what backs positions
  std::int64_t last_ticks = 0;
  std::int64_t band_reference = 0, lowest = 0, highest = 0;  // cached
  std::uint64_t open_orders = 0;
  Book book;
  StatusReason status;
  std::array<Waits, kTriggerSources> waits;  // by what sets them off
  std::size_t waiting = 0;                   // how many those are
  std::set<std::uint64_t> pending;   // numbers of the children of brackets that are not armed
  std::set<std::uint64_t> ended;     // numbers of the entries, now closed, of some of them

  // The price that sets orders of a source off, as it is now; 0: there is none.
  std::int64_t price_of(int source) const {
    if (source == kLastPrice || perpetual == nullptr) return last_ticks;
    return source == kMarkPrice ? perpetual->mark_ticks : perpetual->index_ticks;
  }
  // Whether there are prices, or ended brackets, that nothing was held against yet.
  bool is_touched() const {
    return !ended.empty() || std::any_of(waits.begin(), waits.end(),
                                         [](const Waits& one) { return one.low != 0; });
  }
};

// Why a market takes no orders and sets none off, if it does not.
inline Reason closed_market(const Market& market) {
  if (market.state == kDelisted) return Reason::kSymbolDelisted;
  if (market.state == kHalted) return Reason::kSymbolHalted;
  if (market.state == kCancelOnly) return Reason::kSymbolCancelOnly;
  if (market.perpetual == nullptr) [[likely]]
    return Reason::kNone;
  if (market.perpetual->phase == PerpetualState::kHalted) return Reason::kMarketHalted;
  if (market.perpetual->phase == PerpetualState::kSettlement) return Reason::kMarketSettling;
  return Reason::kNone;
}

// Puts a seat among its account's, which are by market.
inline void Perpetual::chain(Seat* made) {
  if (made->account >= firsts_->size()) firsts_->resize(made->account + made->account / 2 + 64);
  Seat** place = &(*firsts_)[made->account];
  while (*place != nullptr && (*place)->market->rules.symbol_id < market_->rules.symbol_id)
    place = &(*place)->next;
  made->next = *place;
  *place = made;
}

struct Balance {
  std::int64_t total = 0;
  std::int64_t held = 0;
};

struct Asset {
  std::uint16_t id = 0;
  std::int64_t issued = 0;
  std::int64_t fees = 0;
};

struct Account {
  std::uint64_t id = 0;
  Slot open_head = 0, open_tail = 0;      // by order number
  Slot closed_head = 0, closed_tail = 0;  // in closing order
  std::uint32_t closed_count = 0;
  std::uint32_t tier = 0;  // of its fees
};

struct OpenOrders {  // of one account in one market
  std::uint32_t count = 0;
  std::int64_t buy_lots = 0;  // what the buys among them have still to buy
};

struct Key {
  std::uint64_t low, high;
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const { return identity_hash(0, key.low, key.high); }
};

struct KeyRecord {
  Key key;
  std::uint64_t sequence;
  std::int64_t time_us;
  std::uint16_t opcode, reason, asset_id;
  std::uint64_t account_id;
  std::int64_t amount, created_at_us;
};

struct Text {
  char bytes[kMaxText];
};

class State {
 public:
  explicit State(std::uint32_t shard_number)
      : shard(shard_number),
        orders(kMaxOrders),
        links(kMaxOrders),
        accepted_us(kMaxOrders),
        closed_us(kMaxOrders),
        texts(kMaxOrders),
        rare(kMaxOrders),
        asked_else(kMaxOrders),
        index(6) {  // small, so that growing is no rare event
    asset_index.fill(kNone16);
    symbol_index.fill(kNone16);
    accounts.emplace_back();  // 0 is nobody
  }

  std::uint32_t shard;
  std::uint64_t sequence = 0;
  std::int64_t time_us = 0;
  std::uint64_t epoch = 0;
  int mode = kOpen;
  StatusReason status;
  std::uint32_t closed_per_account = kClosedPerAccount;  // other numbers: benchmarks only
  std::int64_t next_expiry_us = kInt64Max;               // no window has anything due before
  std::uint64_t next_order = 1, next_trade = 1;

  std::vector<std::unique_ptr<Market>> markets;  // dense, in listing order
  std::array<std::uint16_t, 65536> symbol_index;
  std::vector<Asset> assets;
  std::array<std::uint16_t, 65536> asset_index;

  Arena<Order> orders;  // this and what lies beside an order, all by slot
  Arena<Links> links;
  Arena<std::int64_t> accepted_us;
  Arena<std::int64_t> closed_us;
  Arena<Text> texts;
  Arena<Rare> rare;
  Arena<Asked> asked_else;
  std::set<std::pair<std::int64_t, std::uint64_t>> timed;  // (expiry, number) of open GTD orders
  OrderIndex index;
  OrderPages pages;
  Slot closed_head = 0, closed_tail = 0;  // all closed orders, in closing order
  std::uint64_t closed_count = 0;

  std::vector<Market*> perpetuals;      // by id
  std::vector<Seat*> first_seats;       // of each account that has any, by dense account
  std::uint16_t collateral = kNone16;   // dense; the quote asset of all perpetuals
  std::map<ScopeName, Frozen> frozen;   // scopes in liquidation
  Fund fund;

  bool touched = false;  // a market has prices or ended brackets that were not seen to

  std::unordered_map<std::uint64_t, std::int64_t> switches;    // account id -> dead-man's deadline
  std::set<std::pair<std::int64_t, std::uint64_t>> deadlines;  // (deadline, account id) of them

  std::vector<Account> accounts;
  std::vector<Balance> balances;  // account x stride + asset
  std::vector<OpenOrders> open;   // account x market stride + market
  std::size_t balance_stride = 4, market_stride = 4;

  std::deque<KeyRecord> keys;                                 // in order of first use
  std::unordered_map<Key, std::uint64_t, KeyHash> key_index;  // key -> place + evicted
  std::uint64_t keys_evicted = 0;

  // Touches the memory of the first `count` orders and their index.
  void reserve(std::uint64_t count) {
    orders.prefault(count);
    links.prefault(count);
    accepted_us.prefault(count);
    closed_us.prefault(count);
    reserve_index(count);
  }

  // Makes room in the index, so that it need not grow before there are so many orders.
  void reserve_index(std::uint64_t count) {
    index.reserve(
        count, [this](Slot slot) { return hash_of(slot); },
        [this](Slot slot) { __builtin_prefetch(&orders[slot]); });
  }

  // Lets an order be found by its client key and by its number.
  [[gnu::always_inline]] void remember(Slot slot, std::uint64_t hash,
                                        std::uint64_t number) {
    index.insert(
        hash, slot, [this](Slot other) { return hash_of(other); },
        [this](Slot other) { __builtin_prefetch(&orders[other]); });
    pages.set(number, slot);
  }

  std::uint64_t hash_of(Slot slot) const {
    const Order& order = orders[slot];
    return identity_hash(accounts[order.account].id, order.key_low, order.key_high);
  }

  // What the order was placed as; an iceberg's whole quantity.
  Asked asked(Slot slot) const {
    const Order& order = orders[slot];
    if (order.altered) return asked_else[slot];
    return {order.price, order.quantity + hidden(slot)};
  }

  // Keeps what the order was placed as, before its price or its whole quantity changes.
  void keep_asked(Slot slot) {
    asked_else[slot] = asked(slot);
    orders[slot].altered = 1;
  }

  // How many orders have ever been in memory at once, and the memory of more of them, made in any
  // thread.
  std::uint64_t slots() const { return fresh_; }
  void populate(std::uint64_t from, std::uint64_t to) const {
    orders.populate(from, to);
    links.populate(from, to);
    accepted_us.populate(from, to);
    closed_us.populate(from, to);
  }

  // Remembers when a GTD order has to go, or no longer.
  [[gnu::noinline, gnu::cold]] void time(Slot slot) {
    const std::int64_t expires_us = rare[slot].terms.expires_us;
    timed.emplace(expires_us, std::uint64_t{orders[slot].number});
    next_expiry_us = std::min(next_expiry_us, expires_us - 1);
  }
  [[gnu::noinline, gnu::cold]] void untime(Slot slot) {
    timed.erase({rare[slot].terms.expires_us, std::uint64_t{orders[slot].number}});
  }

  // Arms or (0) disarms an account's dead-man's switch.
  void set_switch(std::uint64_t account_id, std::int64_t deadline_us) {
    if (const auto it = switches.find(account_id); it != switches.end()) {
      deadlines.erase({it->second, account_id});
      switches.erase(it);
    }
    if (deadline_us == 0) return;
    switches[account_id] = deadline_us;
    deadlines.emplace(deadline_us, account_id);
    next_expiry_us = std::min(next_expiry_us, deadline_us - 1);
  }

  std::int64_t hidden(Slot slot) const { return orders[slot].traits != 0 ? rare[slot].hidden : 0; }

  // What an open order may still trade, shown or not.
  std::int64_t open_lots(Slot slot) const { return orders[slot].remaining + hidden(slot); }

  const Market* market(std::uint16_t symbol_id) const {
    const std::uint16_t at = symbol_index[symbol_id];
    return at == kNone16 ? nullptr : markets[at].get();
  }

  Market* market(std::uint16_t symbol_id) {
    const std::uint16_t at = symbol_index[symbol_id];
    return at == kNone16 ? nullptr : markets[at].get();
  }

  // Dense index of an account, or 0 when it has never been seen.
  std::uint32_t find_account(std::uint64_t id) const {
    if (id < kDirect) return id < direct_.size() ? direct_[id] : 0;
    const auto it = sparse_.find(id);
    return it == sparse_.end() ? 0 : it->second;
  }

  std::uint32_t need_account(std::uint64_t id) {
    if (const std::uint32_t known = find_account(id)) return known;
    const auto at = static_cast<std::uint32_t>(accounts.size());
    accounts.push_back(Account{.id = id});
    balances.resize(accounts.size() * balance_stride);
    open.resize(accounts.size() * market_stride);
    if (id < kDirect) {
      if (id >= direct_.size()) direct_.resize(id + id / 2 + 64);
      direct_[id] = at;
    } else {
      sparse_[id] = at;
    }
    return at;
  }

  // The account's first seat, the others follow it; or null.
  const Seat* first_seat(std::uint32_t account) const {
    return account < first_seats.size() ? first_seats[account] : nullptr;
  }

  // Whether a scope is being liquidated; its symbol is 0 for cross margin.
  bool is_frozen(std::uint32_t account, std::uint16_t symbol_id) const {
    return !frozen.empty() && frozen.contains({accounts[account].id, symbol_id});
  }

  Balance& balance(std::uint32_t account, std::uint16_t asset) {
    return balances[account * balance_stride + asset];
  }

  const Balance& balance(std::uint32_t account, std::uint16_t asset) const {
    return balances[account * balance_stride + asset];
  }

  OpenOrders& open_of(std::uint32_t account, std::uint16_t market_at) {
    return open[account * market_stride + market_at];
  }

  const OpenOrders& open_of(std::uint32_t account, std::uint16_t market_at) const {
    return open[account * market_stride + market_at];
  }

  std::uint16_t need_asset(std::uint16_t id) {
    if (asset_index[id] != kNone16) return asset_index[id];
    const auto at = static_cast<std::uint16_t>(assets.size());
    assets.push_back(Asset{.id = id});
    asset_index[id] = at;
    widen(balances, balance_stride, assets.size());
    return at;
  }

  void list_market(const Rules& rules, std::unique_ptr<Perpetual> perpetual = nullptr) {
    auto market = std::make_unique<Market>(rules, orders, links);
    market->base = need_asset(rules.base_asset_id);
    market->quote = need_asset(rules.quote_asset_id);
    market->at = static_cast<std::uint16_t>(markets.size());
    symbol_index[rules.symbol_id] = market->at;
    markets.push_back(std::move(market));
    widen(open, market_stride, markets.size());
    if (perpetual != nullptr) make_perpetual(*markets.back(), std::move(perpetual));
    note_stakes();
  }

  // Lets a market be a perpetual from now on; its quote asset is the shard's collateral.
  void make_perpetual(Market& market, std::unique_ptr<Perpetual> perpetual) {
    perpetual->units_per_tick_lot = market.rules.quote_per_tick_lot;
    market.perpetual = std::move(perpetual);
    market.perpetual->open_in(market, first_seats);
    collateral = market.quote;
    perpetuals.push_back(&market);
    std::sort(perpetuals.begin(), perpetuals.end(), [](const Market* a, const Market* b) {
      return a->rules.symbol_id < b->rules.symbol_id;
    });
    note_stakes();
  }

  Slot new_order() {
    if (free_head_ != 0) {
      const Slot slot = free_head_;
      free_head_ = links[slot].next;
      return slot;
    }
    if (fresh_ >= kMaxOrders) throw std::length_error("too many orders in memory");
    __builtin_prefetch(&orders[fresh_ + 16], 1);
    return fresh_++;
  }

  void free_order(Slot slot) {
    links[slot].next = free_head_;
    free_head_ = slot;
  }

 private:
  // Perpetuals have, and spot markets whose buyers or sellers pay with collateral.
  void note_stakes() {
    for (const auto& market : markets)
      market->has_stakes = collateral != kNone16 && (market->perpetual != nullptr ||
                                                     market->quote == collateral ||
                                                     market->base == collateral);
  }

  static constexpr std::size_t kMaxOrders = std::size_t{1}
                                            << 26;    // open and remembered ones together
  static constexpr std::uint64_t kDirect = 1u << 22;  // account ids with a direct index

  template <typename T>
  void widen(std::vector<T>& table, std::size_t& stride, std::size_t columns) {
    if (columns > stride) {
      std::vector<T> wider(accounts.size() * stride * 2);
      for (std::size_t row = 0; row < accounts.size(); ++row)
        for (std::size_t column = 0; column < stride; ++column)
          wider[row * stride * 2 + column] = table[row * stride + column];
      table = std::move(wider);
      stride *= 2;
    }
    table.resize(accounts.size() * stride);
  }

  std::vector<std::uint32_t> direct_;
  std::unordered_map<std::uint64_t, std::uint32_t> sparse_;
  Slot free_head_ = 0;
  Slot fresh_ = 1;
};

}  // namespace rialto
