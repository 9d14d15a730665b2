// Money in and out, markets, modes: the commands that no trader sends.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "market_rules.hpp"
#include "money.hpp"

namespace rialto {

// Answers a command whose key was used with the first outcome; one without a key has none.
bool Engine::key_used(const Command& command, std::int64_t content, std::int64_t created_us) {
  const Key key{command.key_low, command.key_high};
  if (key == Key{}) return false;
  const auto it = state.key_index.find(key);
  if (it == state.key_index.end()) return false;
  const KeyRecord& first = state.keys[it->second - state.keys_evicted];
  const bool same = first.opcode == static_cast<std::uint16_t>(command.opcode) &&
                    first.account_id == command.account_id && first.asset_id == command.symbol_id &&
                    first.amount == content && first.created_at_us == created_us;
  EventStripe* event = events.add(EventType::kKeyDuplicate, 1, 0, same ? 1 : 0);
  event->body[0] = static_cast<std::uint64_t>(command.time_us);
  event->body[1] = command.account_id;
  event->body[2] = key.low;
  event->body[3] = key.high;
  event->body[4] = first.sequence;
  event->body[5] = static_cast<std::uint64_t>(command.opcode) | std::uint64_t{first.reason} << 16;
  return true;
}

// Files the first outcome of a command's key, if it has one.
void Engine::remember(const Command& command, Reason reason, std::int64_t content,
                      std::int64_t created_us) {
  const Key key{command.key_low, command.key_high};
  if (key == Key{}) return;
  state.key_index[key] = state.keys_evicted + state.keys.size();
  state.keys.push_back({key, state.sequence, state.time_us,
                        static_cast<std::uint16_t>(command.opcode),
                        static_cast<std::uint16_t>(reason), command.symbol_id, command.account_id,
                        content, created_us});
  state.next_expiry_us = std::min(state.next_expiry_us, state.time_us + kKeyForUs);
}

void Engine::money(const Command& command) {
  const bool credit = command.opcode == Opcode::kCredit;
  if (command.key_low == 0 && command.key_high == 0) {
    reject(command, Reason::kMalformedCommand, command.account_id, 0);
    return;
  }
  if (key_used(command, command.a, command.b)) return;
  const std::uint16_t asset = state.asset_index[command.symbol_id];
  const std::int64_t amount = command.a, created = command.b;
  const std::uint32_t account = state.find_account(command.account_id);
  Reason reason = Reason::kNone;
  if (command.account_id == 0 || command.account_id == kFundAccount || created < 0 ||
      Wide{created} > Wide{state.time_us} + kKeyMaxAheadUs)
    reason = Reason::kMalformedCommand;
  else if (amount <= 0)
    reason = Reason::kInvalidAmount;
  else if (Wide{state.time_us} - created > kKeyMaxAgeUs)
    reason = Reason::kKeyExpired;
  else if (asset == kNone16)
    reason = Reason::kUnknownAsset;
  else if (credit && Wide{state.assets[asset].issued} + amount >
                         (asset == state.collateral ? kMaxCashUnits : kInt64Max))
    reason = Reason::kOverflow;
  else if (!credit && state.mode == kHalted)
    reason = Reason::kShardHalted;
  else if (!credit && asset == state.collateral && is_gated(state))
    reason = Reason::kCollateralGated;
  else if (!credit && !can_spend(account, asset, amount))
    reason = Reason::kInsufficientFunds;
  remember(command, reason, amount, created);
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, 0);
    return;
  }
  const std::int64_t change = credit ? amount : -amount;
  state.assets[asset].issued += change;
  const std::uint32_t owner = state.need_account(command.account_id);
  state.balance(owner, asset).total += change;
  if (asset == state.collateral) [[unlikely]]
    note_scope(owner, 0);
  EventStripe* event =
      events.add(credit ? EventType::kCredited : EventType::kDebited, 1, command.symbol_id, 0);
  event->body[0] = static_cast<std::uint64_t>(command.time_us);
  event->body[1] = command.account_id;
  event->body[2] = command.key_low;
  event->body[3] = command.key_high;
  event->body[4] = static_cast<std::uint64_t>(amount);
  event->body[5] = 0;
}

// ---- administration -------------------------------------------------------------------------

namespace {

void write_fees(EventStripe* parts, const FeeTable& fees) {
  const auto* half = reinterpret_cast<const std::uint8_t*>(&fees);
  for (int part = 0; part < 2; ++part, half += 32) {
    std::memset(parts[part].body, 0, sizeof parts[part].body);
    std::memcpy(parts[part].body, half, 32);
  }
}

}  // namespace

void Engine::list_symbol(const Command& command, const std::uint8_t* record) {
  const Rules rules = rules_of(command, record);
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  const Reason reason = refuse_listing(state, rules);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  state.list_market(rules);
  write_listed(command, record, rules);
}

void Engine::write_listed(const Command& command, const std::uint8_t* record,
                          const Rules& rules) {
  EventStripe* event = events.add(EventType::kSymbolListed, 4, command.symbol_id, 0);
  event[0].body[0] = static_cast<std::uint64_t>(command.time_us);
  event[0].body[1] = static_cast<std::uint64_t>(rules.base_per_lot);
  event[0].body[2] = static_cast<std::uint64_t>(rules.quote_per_tick_lot);
  event[0].body[3] = static_cast<std::uint64_t>(rules.listing_ticks);
  event[0].body[4] = static_cast<std::uint64_t>(rules.max_order_lots);
  event[0].body[5] = static_cast<std::uint64_t>(rules.band_ppm);
  std::memset(event[1].body, 0, sizeof event[1].body);
  std::memcpy(event[1].body, record + kStripe, 8);  // both assets, the highest fee: as they came
  event[1].body[1] = static_cast<std::uint64_t>(rules.max_position_lots);
  event[1].body[2] = rules.max_open_orders;
  write_fees(event + 2, rules.fees);
}

void Engine::set_parameters(const Command& command, const std::uint8_t* record) {
  const Rules rules = rules_of(command, record);
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Market* market = state.market(command.symbol_id);
  Reason reason = Reason::kNone;
  if (!is_whole(rules))
    reason = Reason::kMalformedCommand;
  else if (market == nullptr)
    reason = Reason::kUnknownSymbol;
  else if (market->state == kDelisted)
    reason = Reason::kSymbolDelisted;
  else if (!same_where_fixed(rules, market->rules))
    reason = Reason::kFixedParameter;
  else if (market->perpetual != nullptr)
    reason = refuse_perpetual_rules(rules);
  if (reason == Reason::kNone) reason = refuse_fees(rules);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  EventStripe* event = events.add(EventType::kParametersSet, 6, command.symbol_id, 0);
  std::memset(event[0].body, 0, sizeof event[0].body);
  std::memset(event[1].body, 0, sizeof event[1].body);
  event[0].body[0] = static_cast<std::uint64_t>(command.time_us);
  std::uint64_t* to = &event[0].body[1];
  for (const Rules* each : {&rules, &std::as_const(market->rules)}) {
    to[0] = static_cast<std::uint64_t>(each->band_ppm);
    to[1] = static_cast<std::uint64_t>(each->max_order_lots);
    to[2] = static_cast<std::uint64_t>(each->max_position_lots);
    to[3] = each->max_open_orders;
    to = event[1].body;
  }
  write_fees(event + 2, rules.fees);
  write_fees(event + 4, market->rules.fees);
  market->rules = rules;
  market->band_reference = 0;  // the cached band is another one's
}

// Tier 0 is everybody's.
void Engine::set_account_tier(const Command& command) {
  if (key_used(command, command.a, 0)) return;
  Reason reason = Reason::kNone;
  if (command.account_id == 0)
    reason = Reason::kMalformedCommand;
  else if (command.a < 0 || command.a >= kMaxFeeTiers)
    reason = Reason::kUnknownFeeTier;
  remember(command, reason, command.a, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, 0);
    return;
  }
  Account& account = state.accounts[state.need_account(command.account_id)];
  EventStripe* event = events.add(EventType::kAccountTierSet, 1, 0, 0);
  event->body[0] = static_cast<std::uint64_t>(command.time_us);
  event->body[1] = command.account_id;
  event->body[2] = static_cast<std::uint64_t>(command.a);
  event->body[3] = account.tier;
  std::memset(&event->body[4], 0, 16);
  account.tier = static_cast<std::uint32_t>(command.a);
}

namespace {

// Printable ASCII, then zeros to the end.
bool prints(const char* text, std::size_t size) {
  while (size > 0 && text[size - 1] == 0) --size;
  return std::all_of(text, text + size, [](char c) { return c >= 32 && c < 127; });
}

}  // namespace

// Reads who sets a state and why; false for an unknown cause or text that does not print.
bool Engine::read_status(std::int64_t cause, const std::uint8_t* record,
                         StatusReason& status) const {
  status = {cause, state.sequence, state.time_us, {}};
  std::memcpy(&status.said, record + kStripe, sizeof status.said);
  return cause > 0 && cause <= kOperator &&
         prints(status.said.actor, sizeof status.said.actor) &&
         prints(status.said.reason, sizeof status.said.reason);
}

void Engine::write_state_set(EventType type, const Command& command, const StatusStripes& said) {
  const std::uint16_t symbol_id = type == EventType::kSymbolStateSet ? command.symbol_id : 0;
  EventStripe* event = events.add(type, 4, symbol_id, 0);
  event[0].body[0] = static_cast<std::uint64_t>(command.time_us);
  event[0].body[1] = static_cast<std::uint64_t>(command.a);
  event[0].body[2] = static_cast<std::uint64_t>(command.b);
  std::memset(&event[0].body[3], 0, 24);
  write_said(event, said);
}

// Who and why, into the parts after the first.
void Engine::write_said(EventStripe* event, const StatusStripes& said) {
  std::memcpy(event[1].body, said.actor, sizeof said.actor);
  std::memset(&event[1].body[4], 0, 16);
  std::memcpy(event[2].body, said.reason, sizeof event[2].body);
  std::memcpy(event[3].body, said.reason + sizeof event[2].body, sizeof event[3].body);
}

void Engine::set_symbol_state(const Command& command, const std::uint8_t* record) {
  Market* market = state.market(command.symbol_id);
  StatusReason status;
  if (!read_status(command.b, record, status) || command.a < 0 || command.a > kHalted) {
    reject(command, Reason::kMalformedCommand, 0, command.symbol_id);
    return;
  }
  if (market == nullptr) {
    reject(command, Reason::kUnknownSymbol, 0, command.symbol_id);
    return;
  }
  if (market->state == kDelisted) {
    reject(command, Reason::kSymbolDelisted, 0, command.symbol_id);
    return;
  }
  market->state = static_cast<int>(command.a);
  market->status = status;
  write_state_set(EventType::kSymbolStateSet, command, status.said);
}

// Closes a market for ever and its open orders by number, as many as one command may close; lists
// go as a whole, which may be one order more.
void Engine::delist_symbol(const Command& command, const std::uint8_t* record) {
  Market* market = state.market(command.symbol_id);
  StatusReason status;
  const bool prints = read_status(kOperator, record, status);
  Reason reason = Reason::kNone;
  if (!prints)
    reason = Reason::kMalformedCommand;
  else if (market == nullptr)
    reason = Reason::kUnknownSymbol;
  else if (market->perpetual != nullptr && market->perpetual->open_lots != 0)
    reason = Reason::kPositionOpen;
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  if (market->state != kDelisted) {
    market->state = kDelisted;
    market->status = status;
  }
  std::size_t open = 0;
  const std::vector<Slot> closing = first_orders(*market, open);
  EventStripe* event = events.add(EventType::kSymbolDelisted, 4, command.symbol_id, 0);
  event[0].body[0] = static_cast<std::uint64_t>(command.time_us);
  event[0].body[1] = closing.size();
  event[0].body[2] = open - closing.size();
  std::memset(&event[0].body[3], 0, 24);
  write_said(event, status.said);
  close_all(closing, Close::kCancelledByAdmin);
}

// A market's open orders by number, as many as one command may close, and how many there are.
std::vector<Slot> Engine::first_orders(const Market& market, std::size_t& open) const {
  std::vector<Slot> closing;
  closing.reserve(market.open_orders);
  const Book& book = market.book;
  for (const int side : {0, 1})
    for (std::int64_t price = book.best(side); price != kNoPrice;
         price = book.next_price(side, price))
      for (Slot at = book.at(side, price).head; at != 0; at = state.links[at].next)
        closing.push_back(at);
  for (const Waits& waits : market.waits)
    for (const auto* waiting : {&waits.rising, &waits.falling})
      for (const auto& [price, number] : *waiting) closing.push_back(state.pages.find(number));
  for (const std::uint64_t number : market.pending) closing.push_back(state.pages.find(number));
  std::sort(closing.begin(), closing.end(),
            [&](Slot a, Slot b) { return state.orders[a].number < state.orders[b].number; });
  open = closing.size();
  cut_whole(closing, kMaxCancels);
  return closing;
}

// Who only minds settlement's lag lifts no other's mode.
void Engine::set_shard_mode(const Command& command, const std::uint8_t* record) {
  StatusReason status;
  if (!read_status(command.b, record, status) || command.a < 0 || command.a > kHalted) {
    reject(command, Reason::kMalformedCommand, 0, 0);
    return;
  }
  const bool held = state.mode != kOpen && state.status.cause != status.cause;
  if (held && status.cause == kSettlementBehind) {
    reject(command, Reason::kShardModeHeld, 0, 0);
    return;
  }
  state.mode = static_cast<int>(command.a);
  state.status = status;
  write_state_set(EventType::kShardModeSet, command, status.said);
}

void Engine::reject(const Command& command, Reason reason, std::uint64_t account_id,
                    std::uint16_t symbol_id, int list_position) {
  EventStripe* event =
      events.add(EventType::kCommandRejected, 1, symbol_id, static_cast<std::uint16_t>(reason));
  event->body[0] = static_cast<std::uint64_t>(command.time_us);
  event->body[1] = account_id;
  event->body[2] = command.key_low;
  event->body[3] = command.key_high;
  event->body[4] = static_cast<std::uint64_t>(command.opcode);
  event->body[5] = static_cast<std::uint64_t>(list_position);
}

}  // namespace rialto
