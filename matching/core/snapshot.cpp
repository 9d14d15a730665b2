#include "snapshot.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "perpetual_snapshot.hpp"
#include "snapshot_io.hpp"

namespace rialto {

namespace {

constexpr std::uint32_t kStateVersion = 18;
constexpr char kMagic[9] = "RLTSTATE";
constexpr std::uint8_t kAwaits = 1, kEnded = 2;  // how an order is pending

#pragma pack(push, 1)
struct HeadBytes {
  char magic[8];
  std::uint32_t version, shard;
  std::uint64_t sequence;
  std::int64_t time_us, epoch;
  std::uint32_t mode, zero;
  std::uint64_t next_order, next_trade;
  std::uint64_t chain[8];
};
struct AssetBytes {
  std::uint64_t id;
  std::int64_t issued, fees;
};
struct MarketBytes {
  std::int64_t symbol_id, base_asset_id, quote_asset_id, base_per_lot, quote_per_tick_lot;
  std::int64_t max_taker_fee_ppm, band_ppm, listing_ticks, max_order_lots, max_open_orders;
  std::int64_t max_position_lots, state, last_ticks, low, high;
  StatusReason status;
  FeeTable fees;
};
struct BalanceBytes {
  std::uint64_t account, asset;
  std::int64_t total, held;
};
struct OrderBytes {
  std::uint64_t order_id, account_id, key_low, key_high;
  std::uint16_t symbol_id, flags;
  std::uint8_t status, text_length, pending, zero;
  std::int64_t price, quantity, filled;
  std::uint64_t accepted_sequence;
  std::int64_t accepted_us, closed_us, asked_price, asked_quantity;
  Terms terms;
  std::int64_t hidden, trigger, limit;
  char text[kMaxText];
  std::uint8_t more_zero[4];
};
struct SwitchBytes {
  std::uint64_t account;
  std::int64_t deadline_us;
};
struct TierBytes {
  std::uint64_t account, tier;
};
struct KeyBytes {
  std::uint64_t low, high, sequence;
  std::int64_t time_us;
  std::uint16_t opcode, reason;
  std::uint32_t asset_id;
  std::uint64_t account_id;
  std::int64_t amount, created_at_us;
};
#pragma pack(pop)
static_assert(sizeof(HeadBytes) == 128);
static_assert(sizeof(OrderBytes) == 216);
static_assert(sizeof(KeyBytes) == 64);

OrderBytes order_bytes(const State& state, Slot slot) {
  const Order& order = state.orders[slot];
  OrderBytes out{};
  out.order_id = std::uint64_t{state.shard} << 48 | order.number;
  out.account_id = state.accounts[order.account].id;
  out.key_low = order.key_low;
  out.key_high = order.key_high;
  out.symbol_id = state.markets[order.symbol]->rules.symbol_id;
  out.flags = order.flags;
  out.status = static_cast<std::uint8_t>(order.status);
  out.text_length = order.text_length;
  out.price = order.price;
  out.quantity = order.quantity + state.hidden(slot);
  out.filled = order.filled();
  out.accepted_sequence = order.accepted_sequence;
  out.accepted_us = state.accepted_us[slot];
  out.closed_us = order.status == Status::kOpen ? 0 : state.closed_us[slot];
  out.asked_price = state.asked(slot).price;
  out.asked_quantity = state.asked(slot).quantity;
  if (order.traits != 0) {
    out.terms = state.rare[slot].terms;
    out.hidden = state.rare[slot].hidden;
    if ((order.traits & kPending) != 0) {
      out.pending = state.rare[slot].ended != 0 ? kEnded : kAwaits;
      out.hidden = state.rare[slot].entry_lots;
    }
    out.trigger = state.rare[slot].trigger;
    if ((order.traits & kWaiting) != 0) out.limit = state.rare[slot].limit;
  }
  if (order.text_length != 0) std::memcpy(out.text, state.texts[slot].bytes, kMaxText);
  return out;
}

void write_balances(const State& state, Writer& out) {
  std::vector<BalanceBytes> rows;
  for (std::size_t account = 1; account < state.accounts.size(); ++account)
    for (std::size_t asset = 0; asset < state.assets.size(); ++asset) {
      const Balance& balance = state.balances[account * state.balance_stride + asset];
      if (balance.total != 0 || balance.held != 0)
        rows.push_back(
            {state.accounts[account].id, state.assets[asset].id, balance.total, balance.held});
    }
  std::sort(rows.begin(), rows.end(), [](const BalanceBytes& a, const BalanceBytes& b) {
    return a.account != b.account ? a.account < b.account : a.asset < b.asset;
  });
  out.count(rows.size());
  for (const BalanceBytes& row : rows) out.put(row);
}

std::vector<const Market*> markets_by_id(const State& state) {
  std::vector<const Market*> markets;
  for (const auto& market : state.markets) markets.push_back(market.get());
  std::sort(markets.begin(), markets.end(), [](const Market* a, const Market* b) {
    return a->rules.symbol_id < b->rules.symbol_id;
  });
  return markets;
}

MarketBytes market_bytes(const Market& market) {
  const Rules& r = market.rules;
  const Waits& traded = market.waits[kLastPrice];
  return {r.symbol_id,          r.base_asset_id,     r.quote_asset_id,  r.base_per_lot,
          r.quote_per_tick_lot, r.max_taker_fee_ppm, r.band_ppm,        r.listing_ticks,
          r.max_order_lots,     r.max_open_orders,   r.max_position_lots, market.state,
          market.last_ticks,    traded.low,          traded.high,       market.status,
          r.fees};
}

// The orders that wait for a trigger or are pending, by number.
std::vector<Slot> outside_by_number(const State& state) {
  std::vector<std::uint64_t> numbers;
  for (const auto& market : state.markets) {
    for (const Waits& waits : market->waits)
      for (const auto* side : {&waits.rising, &waits.falling})
        for (const auto& [_, number] : *side) numbers.push_back(number);
    numbers.insert(numbers.end(), market->pending.begin(), market->pending.end());
  }
  std::sort(numbers.begin(), numbers.end());
  std::vector<Slot> slots;
  for (const std::uint64_t number : numbers) slots.push_back(state.pages.find(number));
  return slots;
}

}  // namespace

std::string order_line(const Engine& engine, Slot slot) {
  Writer out;
  out.put(order_bytes(engine.state, slot));
  return std::move(out.bytes);
}

std::string market_lines(const State& state) {
  Writer out;
  for (const Market* market : markets_by_id(state)) out.put(market_bytes(*market));
  return std::move(out.bytes);
}

std::string encode_state(const Engine& engine) {
  const State& state = engine.state;
  Writer out;
  HeadBytes head{};
  std::memcpy(head.magic, kMagic, 8);
  head.version = kStateVersion;
  head.shard = state.shard;
  head.sequence = state.sequence;
  head.time_us = state.time_us;
  head.epoch = static_cast<std::int64_t>(state.epoch);
  head.mode = static_cast<std::uint32_t>(state.mode);
  head.next_order = state.next_order;
  head.next_trade = state.next_trade;
  std::memcpy(head.chain, engine.events.lanes, sizeof head.chain);
  out.put(head);
  out.put(state.status);

  std::vector<Asset> assets = state.assets;
  std::sort(assets.begin(), assets.end(),
            [](const Asset& a, const Asset& b) { return a.id < b.id; });
  out.count(assets.size());
  for (const Asset& asset : assets) out.put(AssetBytes{asset.id, asset.issued, asset.fees});

  const std::vector<const Market*> markets = markets_by_id(state);
  out.count(markets.size());
  std::uint64_t open = 0;
  for (const Market* market : markets) {
    out.put(market_bytes(*market));
    open += market->open_orders - market->waiting - market->pending.size();
  }
  write_balances(state, out);
  out.count(open);
  for (const Market* market : markets)
    for (int side = 0; side < 2; ++side)
      for (std::int64_t price = market->book.best(side); price != kNoPrice;
           price = market->book.next_price(side, price))
        for (Slot at = market->book.at(side, price).head; at != 0; at = state.links[at].next)
          out.put(order_bytes(state, at));
  const std::vector<Slot> outside = outside_by_number(state);
  out.count(outside.size());
  for (const Slot slot : outside) out.put(order_bytes(state, slot));
  out.count(state.closed_count);
  for (Slot at = state.closed_head; at != 0; at = state.links[at].next)
    out.put(order_bytes(state, at));
  out.count(state.keys.size());
  for (const KeyRecord& r : state.keys)
    out.put(KeyBytes{r.key.low, r.key.high, r.sequence, r.time_us, r.opcode, r.reason, r.asset_id,
                     r.account_id, r.amount, r.created_at_us});
  std::vector<SwitchBytes> switches;
  for (const auto& [account, deadline_us] : state.switches)
    switches.push_back({account, deadline_us});
  std::sort(switches.begin(), switches.end(),
            [](const SwitchBytes& a, const SwitchBytes& b) { return a.account < b.account; });
  out.count(switches.size());
  for (const SwitchBytes& row : switches) out.put(row);
  std::vector<TierBytes> tiers;
  for (const Account& account : state.accounts)
    if (account.tier != 0) tiers.push_back({account.id, account.tier});
  std::sort(tiers.begin(), tiers.end(),
            [](const TierBytes& a, const TierBytes& b) { return a.account < b.account; });
  out.count(tiers.size());
  for (const TierBytes& row : tiers) out.put(row);
  write_perpetuals(state, out);
  return std::move(out.bytes);
}

namespace {

// The order of a snapshot line. Its text lies beside it, by slot.
Slot read_order(Engine& engine, const OrderBytes& in) {
  State& state = engine.state;
  const std::uint16_t symbol = state.symbol_index[in.symbol_id];
  if (symbol == kNone16) throw std::invalid_argument("an order of an unknown symbol");
  if (in.text_length > kMaxText) throw std::invalid_argument("an order with too long a text");
  if (in.pending > kEnded) throw std::invalid_argument("an order is pending in an unknown way");
  const std::int64_t hidden = in.pending != 0 ? 0 : in.hidden;
  Order order{};
  order.price = in.price;
  order.quantity = in.quantity - hidden;
  order.remaining = order.quantity - in.filled;
  order.number = in.order_id & ((std::uint64_t{1} << 48) - 1);
  order.account = state.need_account(in.account_id);
  order.flags = in.flags;
  order.symbol = symbol;
  order.status = static_cast<Status>(in.status);
  order.text_length = in.text_length;
  order.key_low = in.key_low;
  order.key_high = in.key_high;
  order.accepted_sequence = in.accepted_sequence;
  order.altered = in.asked_price != in.price || in.asked_quantity != in.quantity;
  if (in.terms != Terms{}) order.traits = kHasTerms | (in.terms.display != 0 ? kIceberg : 0);
  if (order.traits != 0 && in.pending != 0) order.traits |= kPending;
  const Slot slot = engine.adopt(order);
  state.accepted_us[slot] = in.accepted_us;
  state.closed_us[slot] = in.closed_us;
  if (order.altered) state.asked_else[slot] = {in.asked_price, in.asked_quantity};
  if (order.traits != 0)
    state.rare[slot] = {.terms = in.terms,
                        .hidden = hidden,
                        .trigger = in.trigger,
                        .limit = in.limit,
                        .covered = 0,
                        .entry_lots = in.pending != 0 ? in.hidden : 0,
                        .sibling = 0,
                        .ended = in.pending == kEnded};
  if (in.text_length != 0) std::memcpy(state.texts[slot].bytes, in.text, kMaxText);
  return slot;
}

}  // namespace

std::unique_ptr<Engine> decode_state(const std::string& bytes) {
  Reader in(bytes);
  const auto head = in.get<HeadBytes>();
  if (std::memcmp(head.magic, kMagic, 8) != 0 || head.version != kStateVersion)
    throw std::invalid_argument("state version " + std::to_string(head.version) + " is not " +
                                std::to_string(kStateVersion));
  auto engine = std::make_unique<Engine>(head.shard);
  State& state = engine->state;
  state.sequence = head.sequence;
  state.time_us = head.time_us;
  state.epoch = static_cast<std::uint64_t>(head.epoch);
  state.mode = static_cast<int>(head.mode);
  state.next_order = head.next_order;
  state.next_trade = head.next_trade;
  std::memcpy(engine->events.lanes, head.chain, sizeof head.chain);
  state.status = in.get<StatusReason>();
  in.section<AssetBytes>([&](const AssetBytes& row) {
    Asset& asset = state.assets[state.need_asset(static_cast<std::uint16_t>(row.id))];
    asset.issued = row.issued;
    asset.fees = row.fees;
  });
  in.section<MarketBytes>([&](const MarketBytes& m) {
    state.list_market({static_cast<std::uint16_t>(m.symbol_id),
                       static_cast<std::uint16_t>(m.base_asset_id),
                       static_cast<std::uint16_t>(m.quote_asset_id), m.base_per_lot,
                       m.quote_per_tick_lot, static_cast<std::int32_t>(m.max_taker_fee_ppm),
                       m.band_ppm, m.listing_ticks, m.max_order_lots,
                       static_cast<std::uint32_t>(m.max_open_orders), m.max_position_lots, m.fees});
    if (m.state < kOpen || m.state > kDelisted)
      throw std::invalid_argument("an unknown state of a market");
    state.markets.back()->state = static_cast<int>(m.state);
    state.markets.back()->last_ticks = m.last_ticks;
    state.markets.back()->waits[kLastPrice].low = m.low;
    state.markets.back()->waits[kLastPrice].high = m.high;
    state.touched |= m.low != 0;
    state.markets.back()->status = m.status;
  });
  in.section<BalanceBytes>([&](const BalanceBytes& row) {
    const std::uint16_t asset = state.asset_index[static_cast<std::uint16_t>(row.asset)];
    if (asset == kNone16) throw std::invalid_argument("a balance of an unknown asset");
    state.balance(state.need_account(row.account), asset) = {row.total, row.held};
  });
  std::vector<Slot> open, waiting;
  in.section<OrderBytes>([&](const OrderBytes& row) {
    if (row.pending != 0 || row.limit != 0) throw std::invalid_argument("an order waits in a book");
    open.push_back(read_order(*engine, row));
  });
  // Priority within a level is the order of the lines; an account's list is by number.
  in.section<OrderBytes>([&](const OrderBytes& row) {
    if (row.pending == 0 && row.limit == 0)
      throw std::invalid_argument("an order waits for nothing");
    waiting.push_back(read_order(*engine, row));
  });
  in.section<OrderBytes>([&](const OrderBytes& row) {
    if (row.status == static_cast<std::uint8_t>(Status::kOpen))
      throw std::invalid_argument("a closed order is open");
    engine->file_closed(read_order(*engine, row));
  });
  in.section<KeyBytes>([&](const KeyBytes& row) {
    const Key key{row.low, row.high};
    state.key_index[key] = state.keys.size();
    state.keys.push_back({key, row.sequence, row.time_us, row.opcode, row.reason,
                          static_cast<std::uint16_t>(row.asset_id), row.account_id, row.amount,
                          row.created_at_us});
  });
  in.section<SwitchBytes>(
      [&](const SwitchBytes& row) { state.set_switch(row.account, row.deadline_us); });
  in.section<TierBytes>([&](const TierBytes& row) {
    if (row.tier >= kMaxFeeTiers) throw std::invalid_argument("an unknown fee tier");
    state.accounts[state.need_account(row.account)].tier = static_cast<std::uint32_t>(row.tier);
  });
  read_perpetuals(state, in);
  engine->rest_all(open, waiting);  // counts what orders may add to positions
  engine->expect_expiry();
  if (!in.done()) throw std::invalid_argument("bytes after the last section");
  return engine;
}

}  // namespace rialto
