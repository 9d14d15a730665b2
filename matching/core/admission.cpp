// The checks before an order or cancel acts, one a line, in their order of precedence.
#include "engine.hpp"
#include "money.hpp"

namespace rialto {

namespace {

bool name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
         c == '_' || c == ':' || c == '-';
}

// Whether a quote budget goes with the rest: an IOC market buy that cannot shrink.
bool may_have_budget(std::uint16_t flags) {
  return type_of(flags) == kMarket && side_of(flags) == kBuy && tif_of(flags) == kIoc &&
         self_trade_of(flags) != kDecrement;
}

// What is wrong with a trigger: a price or an offset, as the type says.
Reason trigger_terms(std::uint16_t flags, const Terms& terms) {
  const bool trails = type_of(flags) == kTrailingStop;
  if (!is_triggered(flags))
    return terms.trigger != 0 || terms.trailing != 0 ? Reason::kInvalidCombination : Reason::kNone;
  if ((terms.trailing > 0) != trails || terms.trailing < 0) return Reason::kInvalidTrigger;
  if ((terms.trigger > 0) == trails || terms.trigger < 0) return Reason::kInvalidTrigger;
  return Reason::kNone;
}

// What is wrong with an iceberg: it rests, and takes few meetings to trade away.
Reason slices(std::uint16_t flags, std::int64_t quantity, std::int64_t display) {
  if (display == 0) return Reason::kNone;
  if (!has_limit(flags) || !may_rest(flags)) return Reason::kInvalidCombination;
  if (display < 0 || display > quantity) return Reason::kInvalidQuantity;
  return too_many_slices(quantity, display) ? Reason::kTooManySlices : Reason::kNone;
}

}  // namespace

Reason order_syntax(const Command& command, const std::uint8_t* record, const Terms& terms) {
  const std::uint16_t flags = command.flags;
  const bool is_market = !has_limit(flags);
  if (command.account_id == 0 || command.account_id == kFundAccount ||
      (command.key_low | command.key_high) == 0)
    return Reason::kMalformedCommand;
  if (type_of(flags) > kTrailingStop || tif_of(flags) > kGtd || self_trade_of(flags) > kDecrement ||
      trigger_source_of(flags) > kIndexPrice)
    return Reason::kMalformedCommand;
  for (int at = 0; at < command.text_length; ++at)
    if (!name_character(static_cast<char>(record[kStripe + static_cast<unsigned>(at)])))
      return Reason::kMalformedCommand;
  if (is_market && may_rest(flags) != is_triggered(flags)) return Reason::kInvalidCombination;
  if (post_only(flags) && (is_market || !may_rest(flags))) return Reason::kInvalidCombination;
  if ((terms.expires_us > 0) != (tif_of(flags) == kGtd) || terms.expires_us < 0)
    return Reason::kInvalidCombination;
  if (terms.quote_budget != 0 && !may_have_budget(flags)) return Reason::kInvalidCombination;
  if (trigger_source_of(flags) != kLastPrice && !is_triggered(flags))
    return Reason::kInvalidCombination;
  const bool closes = (flags & kClosePositionFlag) != 0;
  if (closes && !is_market) return Reason::kInvalidCombination;
  if (is_market ? command.a != 0 : command.a <= 0) return Reason::kInvalidPrice;
  const bool names_none = terms.quote_budget != 0 || closes;  // no quantity of its own
  if (terms.quote_budget < 0 || command.b < 0 || names_none == (command.b > 0))
    return Reason::kInvalidQuantity;
  const Reason unset = trigger_terms(flags, terms);
  return unset != Reason::kNone ? unset : slices(flags, command.b, terms.display);
}

namespace {

// Whether an order is all that most are, a whole GTC limit order without anything rarer: then no
// rule of syntax and none of `order_rules` is broken.
bool is_plain_limit(const Command& command) {
  return command.stripes == 1 && (command.flags | 1) == 1 && command.account_id != 0 &&
         command.account_id != kFundAccount &&
         (command.key_low | command.key_high) != 0 && command.a > 0 && command.b > 0;
}

}  // namespace

// Why a market takes no orders; its shard's reason comes first.
[[gnu::noinline, gnu::cold]] Reason Engine::closed(const Market& market) const {
  if (state.mode == kHalted) return Reason::kShardHalted;
  if (state.mode == kCancelOnly) return Reason::kShardCancelOnly;
  return closed_market(market);
}

Reason Engine::refuse_order(const Command& command, const std::uint8_t* record,
                            std::uint32_t account, const Terms& terms, Admission& in) {
  const bool plain = is_plain_limit(command);
  if (!plain) {
    const Reason malformed = order_syntax(command, record, terms);
    if (malformed != Reason::kNone) return malformed;
    if (terms.expires_us != 0 && terms.expires_us <= state.time_us) return Reason::kExpiryPassed;
  }
  Market* const market = in.market = state.market(command.symbol_id);
  if (market == nullptr) return Reason::kUnknownSymbol;
  if ((state.mode | market->state) != kOpen) [[unlikely]]
    return closed(*market);
  const bool is_perpetual = market->perpetual != nullptr;
  if (is_perpetual || (command.flags & (kReduces | kSourceFlags)) != 0 || !state.frozen.empty())
      [[unlikely]] {
    // most orders on perpetuals are plain, and most of their markets open
    if (!(plain && is_perpetual && state.frozen.empty() && market->perpetual->is_open() &&
          command.a <= kMaxPriceTicks)) {
      const Reason reason = refuse_kind(command, *market, account, terms);
      if (reason != Reason::kNone) return reason;
    }
  }
  if (is_triggered(command.flags)) [[unlikely]]
    return refuse_waiting(command, account, terms, in);
  if (is_perpetual) [[unlikely]]
    return refuse_perpetual_order(command, account, plain, in);
  refresh_band(*market);
  const int side = side_of(command.flags);
  const bool buys = side == kBuy;
  std::int64_t limit = command.a;
  if (type_of(command.flags) == kMarket)
    limit = buys ? market->highest : market->lowest;
  else if (buys ? limit > market->highest : limit < market->lowest)
    return Reason::kPriceOutsideBand;
  in.limit = limit;
  const Rules& rules = market->rules;
  if (command.b > rules.max_order_lots) return Reason::kQuantityTooLarge;
  if (may_rest(command.flags) && account != 0 &&
      state.open_of(account, market->at).count >= rules.max_open_orders)
    return Reason::kTooManyOpenOrders;
  if (buys && exceeds_position(*market, account, command.b)) return Reason::kPositionLimit;
  if (!plain) {
    if (terms.quote_budget != 0) {
      in.hold = terms.quote_budget;
      return refuse_budget(*market, command, account, in.hold, limit);
    }
    const Reason broken = order_rules(*market, command.flags, command.b, account, limit);
    if (broken != Reason::kNone) return broken;
  }
  std::int64_t hold = 0;
  if (!checked_hold(rules, side, limit, command.b, hold)) return Reason::kOverflow;
  in.hold = hold;
  return can_spend(account, buys ? market->quote : market->base, hold)
             ? Reason::kNone
             : Reason::kInsufficientFunds;
}

DryRun Engine::dry_run(const std::uint8_t* record) {
  const Command& command = command_at(record);
  if (command.opcode == Opcode::kPlaceOrderList) return dry_run_list(record);
  const std::uint32_t account = state.find_account(command.account_id);
  const std::uint64_t hash = identity_hash(command.account_id, command.key_low, command.key_high);
  const Slot known = state.index.find(hash, [&](Slot slot) {
    const Order& order = state.orders[slot];
    return order.key_low == command.key_low && order.key_high == command.key_high &&
           order.account == account;
  });
  if (known != 0) return {Reason::kDuplicateClientOrderId, 0, 0};
  Terms terms;
  if (!read_terms(record, terms)) return {Reason::kMalformedCommand, 0, 0};
  Admission in;
  const Reason reason = refuse_order(command, record, account, terms, in);
  return {reason, reason == Reason::kNone ? in.hold : 0, 0};
}

// The rules of a market buy by quote budget. Later prices are worse, so the best one bounds it.
Reason Engine::refuse_budget(Market& market, const Command& command, std::uint32_t account,
                             std::int64_t budget, std::int64_t limit) {
  const std::int64_t best = market.book.best(1 - kBuy);
  if (best == kNoPrice || best > limit) return Reason::kNoLiquidity;
  const std::int32_t taker_ppm = market.rules.fees.tier[state.accounts[account].tier].taker_ppm;
  const std::int64_t lots = affordable_lots(market.rules, best, budget, taker_ppm);
  std::int64_t base = 0;
  if (lots == 0) return Reason::kBudgetTooSmall;
  if (lots > market.rules.max_order_lots) return Reason::kQuantityTooLarge;
  if (exceeds_position(market, account, lots)) return Reason::kPositionLimit;
  if (__builtin_mul_overflow(lots, market.rules.base_per_lot, &base)) return Reason::kOverflow;
  if (self_trade_of(command.flags) == kExpireTaker &&
      state.orders[market.book.first(1 - kBuy)].account == account)
    return Reason::kSelfTrade;
  return can_spend(account, market.quote, budget) ? Reason::kNone : Reason::kInsufficientFunds;
}

// Whether a buy of `more_lots` could leave its account with too much of the base asset: what it
// has, held or not, counts with all that its open buys of this market may add.
bool Engine::exceeds_position(const Market& market, std::uint32_t account,
                              std::int64_t more_lots) const {
  const Rules& rules = market.rules;
  if (rules.max_position_lots == 0) [[likely]]
    return false;
  if (more_lots <= 0) return false;
  const Balance base = account == 0 ? Balance{} : state.balance(account, market.base);
  const Wide lots = Wide{state.open_of(account, market.at).buy_lots} + more_lots;
  return base.total + lots * rules.base_per_lot >
         Wide{rules.max_position_lots} * rules.base_per_lot;
}

Reason Engine::order_rules(const Market& market, std::uint16_t flags, std::int64_t lots,
                           std::uint32_t account, std::int64_t limit) const {
  const int side = 1 - side_of(flags);
  const std::int64_t best = market.book.best(side);
  const bool meets = best != kNoPrice && Book::crosses(side, best, limit);
  if (meets && post_only(flags)) return Reason::kPostOnlyWouldTrade;
  if (!meets && !has_limit(flags)) return Reason::kNoLiquidity;
  if (tif_of(flags) == kFok && !fillable(market, flags, lots, account, limit))
    return Reason::kFokNotFillable;
  if (meets && self_trade_of(flags) == kExpireTaker &&
      state.orders[market.book.first(side)].account == account)
    return Reason::kSelfTrade;
  return Reason::kNone;
}

Reason Engine::refuse_cancel(const Command& command) {
  if (command.account_id == 0) return Reason::kMalformedCommand;
  const Market* market = state.market(command.symbol_id);
  if (command.symbol_id != 0 && market == nullptr) return Reason::kUnknownSymbol;
  if (state.mode == kHalted) return Reason::kShardHalted;
  if (market != nullptr && market->state == kHalted) return Reason::kSymbolHalted;
  return Reason::kNone;
}

}  // namespace rialto
