// The byte table of matching/wire.py in C++; static assertions hold the sizes.
#pragma once

#include <cstdint>
#include <limits>

#include "limits.hpp"

namespace rialto {

inline constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kPpm = 1'000'000;
inline constexpr std::uint32_t kStripe = 64;
inline constexpr std::int64_t kMaxTimeUs = std::int64_t{1} << 62;  // a window after it fits too
inline constexpr std::uint8_t kCommandVersion = 2;
inline constexpr std::uint8_t kMaxText = 36;
inline constexpr int kMinListed = 2, kMaxListed = 3;  // orders of one list

enum class Opcode : std::uint8_t {
  kPlaceOrder = 1,
  kCancelOrder = 2,
  kCancelAll = 3,
  kAmendOrder = 4,
  kSetDeadMansSwitch = 5,
  kPlaceOrderList = 6,
  kCredit = 20,
  kDebit = 21,
  kListPerpetual = 40,
  kSetRiskParameters = 41,
  kSetLeverage = 42,
  kSetMarginMode = 43,
  kMoveMargin = 44,
  kSetIndex = 45,
  kSetPerpetualState = 46,
  kSettleFunding = 47,
  kFreeze = 48,
  kUnfreeze = 49,
  kLiquidate = 50,
  kTakeOver = 51,
  kDeleverage = 52,
  kUnwind = 53,
  kTopUpFund = 54,
  kSweepDust = 55,
  kSettleMarket = 56,
  kListSymbol = 60,
  kSetSymbolState = 61,
  kSetShardMode = 62,
  kSetParameters = 63,
  kSetAccountTier = 64,
  kDelistSymbol = 65,
  kStarted = 90,
  kTick = 91,
};

enum class EventType : std::uint8_t {
  kOrderAccepted = 1,
  kOrderDuplicate = 2,
  kCancelAccepted = 3,
  kCommandRejected = 4,
  kTrade = 5,
  kOrderRested = 6,
  kOrderClosed = 7,
  kKeyDuplicate = 8,
  kSelfTradePrevented = 9,
  kOrderAmended = 10,
  kDeadMansSwitchSet = 11,
  kDeadMansSwitchFired = 12,
  kOrderRefilled = 13,
  kOrderTriggered = 14,
  kOrderArmed = 15,
  kCredited = 20,
  kDebited = 21,
  kPerpetualTrade = 40,
  kRiskParametersSet = 41,
  kIndexSet = 42,
  kPerpetualStateSet = 43,
  kLeverageSet = 44,
  kMarginModeSet = 45,
  kMarginMoved = 46,
  kFundingSettled = 47,
  kFundingPaid = 48,
  kScopeFrozen = 49,
  kScopeUnfrozen = 50,
  kScopeState = 51,
  kLiquidationPlaced = 52,
  kTakenOver = 53,
  kDeleveraged = 54,
  kFundToppedUp = 55,
  kDustSwept = 56,
  kPositionSettled = 57,
  kUnwindPlaced = 58,
  kMarketSettled = 59,
  kSymbolListed = 60,
  kSymbolStateSet = 61,
  kShardModeSet = 62,
  kParametersSet = 63,
  kAccountTierSet = 64,
  kSymbolDelisted = 65,
  kStarted = 90,
  kTicked = 91,
};

enum class Reason : std::uint16_t {
  kNone = 0,
  kMalformedCommand = 1,
  kUnknownOpcode = 3,
  kDuplicateClientOrderId = 10,
  kKeyExpired = 12,
  kUnknownSymbol = 20,
  kSymbolHalted = 21,
  kSymbolCancelOnly = 22,
  kShardHalted = 23,
  kShardCancelOnly = 24,
  kSymbolAlreadyListed = 25,
  kShardModeHeld = 26,
  kSymbolDelisted = 27,
  kInvalidPrice = 30,
  kInvalidQuantity = 31,
  kQuantityTooLarge = 32,
  kPriceOutsideBand = 33,
  kOverflow = 34,
  kInvalidTrigger = 35,
  kTooManyOpenOrders = 40,
  kTooManySlices = 41,
  kPositionLimit = 42,
  kInvalidCombination = 50,
  kPostOnlyWouldTrade = 51,
  kFokNotFillable = 52,
  kNoLiquidity = 53,
  kOrderNotFound = 54,
  kSelfTrade = 55,
  kQuantityBelowFilled = 56,
  kExpiryPassed = 57,
  kBudgetTooSmall = 58,
  kInvalidTimeout = 59,
  kInsufficientFunds = 60,
  kInvalidAmount = 61,
  kUnknownAsset = 62,
  kInvalidFees = 70,
  kFeeAboveMaximum = 71,
  kRebateAboveTakerFee = 72,
  kFixedParameter = 73,
  kUnknownFeeTier = 74,
  kWouldTriggerImmediately = 80,
  kInvalidOrderList = 90,
  kListPricesCrossed = 91,
  kOrderInList = 92,
  kNotAPerpetual = 100,
  kInvalidRiskParameters = 101,
  kBracketsEmpty = 102,  // and those after it, in the order of BracketFault
  kBracketsAmount = 110,
  kMarkUnknown = 111,
  kMarkStale = 112,
  kMarketGuarded = 113,
  kMarketReduceOnly = 114,
  kMarketHalted = 115,
  kMarketSettling = 116,
  kStateUnchanged = 117,
  kInsufficientMargin = 120,
  kNothingToReduce = 121,
  kInvalidLeverage = 122,
  kPositionOpen = 123,
  kNotIsolated = 124,
  kTooManyPositions = 125,
  kScopeFrozen = 126,
  kScopeNotFrozen = 130,
  kScopeChanged = 131,
  kNotLiquidatable = 132,
  kStillLiquidatable = 133,
  kInvalidPositionDelta = 134,
  kZeroFill = 135,
  kCounterpartyWouldBeInsolvent = 136,
  kLiquidatedInsolventAtMark = 137,
  kTakeoverTooEarly = 138,
  kFundPoolEmpty = 139,
  kFundDrawdown = 140,
  kFundAtCapacity = 141,
  kFundCanTakeOver = 142,
  kFundCannotPay = 143,
  kFundingNotDue = 144,
  kNoDust = 145,
  kNotSettling = 146,
  kOrdersOpen = 147,
  kOutsideSliceLimits = 148,
  kCollateralGated = 149,
};

enum class Close : std::uint8_t {
  kFilled = 0,
  kCancelledByUser = 1,
  kIocRemainder = 2,
  kSelfTrade = 3,
  kCancelledByAdmin = 4,
  kBandReached = 5,
  kSweepLimit = 6,
  kTimeExpired = 7,
  kDeadMansSwitch = 8,
  kRefusedAtTrigger = 9,
  kOrderListDone = 10,
  kCancelledByLiquidation = 20,
  kNothingToReduce = 21,
  kCancelledBySettlement = 22,
  kInsufficientMargin = 23,
};

enum class Status : std::uint8_t { kOpen = 0, kFilled = 1, kCancelled = 2, kExpired = 3 };

// Whether somebody wanted the order to go; its list goes for the same reason.
inline constexpr bool is_cancel(Close reason) {
  return reason == Close::kCancelledByUser || reason == Close::kCancelledByAdmin ||
         reason == Close::kDeadMansSwitch || reason == Close::kCancelledByLiquidation ||
         reason == Close::kCancelledBySettlement;
}

inline constexpr Status status_of(Close reason) {
  if (reason == Close::kFilled) return Status::kFilled;
  return is_cancel(reason) ? Status::kCancelled : Status::kExpired;
}

inline constexpr int kBuy = 0;
inline constexpr int kOpen = 0, kCancelOnly = 1, kHalted = 2, kDelisted = 3;
inline constexpr int kSettlementBehind = 2, kOperator = 3;  // causes of a state; 0 = never set
inline constexpr int kGtc = 0, kIoc = 1, kFok = 2, kGtd = 3;
inline constexpr int kLimit = 0, kMarket = 1, kStop = 2, kStopLimit = 3;
inline constexpr int kTakeProfit = 4, kTakeProfitLimit = 5, kTrailingStop = 6;
inline constexpr std::uint16_t kOco = 0, kBracket = 1;  // kind of a list
inline constexpr int kLastPrice = 0, kMarkPrice = 1, kIndexPrice = 2;  // what sets an order off
inline constexpr std::size_t kTriggerSources = 3;
inline constexpr int kExpireMaker = 0, kExpireTaker = 1, kExpireBoth = 2, kDecrement = 3;

// Order flags: bit 0 side, 1-4 type, 5-7 time in force, 8 post-only, 9-11 self-trade mode,
// 12-13 trigger source, 14 reduce-only, 15 close-position.
inline constexpr int side_of(std::uint16_t flags) { return flags & 1; }
inline constexpr int type_of(std::uint16_t flags) { return flags >> 1 & 15; }
inline constexpr int tif_of(std::uint16_t flags) { return flags >> 5 & 7; }
inline constexpr bool may_rest(std::uint16_t flags) {
  return tif_of(flags) == kGtc || tif_of(flags) == kGtd;
}
inline constexpr bool post_only(std::uint16_t flags) { return (flags >> 8 & 1) != 0; }
inline constexpr int self_trade_of(std::uint16_t flags) { return flags >> 9 & 7; }
inline constexpr int trigger_source_of(std::uint16_t flags) { return flags >> 12 & 3; }
inline constexpr std::uint16_t kSourceFlags = 3 << 12;
inline constexpr std::uint16_t kReduceOnlyFlag = 1 << 14, kClosePositionFlag = 1 << 15;
inline constexpr bool has_limit(std::uint16_t flags) {
  constexpr unsigned kLimits = 1u << kLimit | 1u << kStopLimit | 1u << kTakeProfitLimit;
  return (kLimits >> type_of(flags) & 1) != 0;
}
inline constexpr bool is_triggered(std::uint16_t flags) { return type_of(flags) > kMarket; }
// Which way the price has to go to set the order off.
inline constexpr bool rises(std::uint16_t flags) {
  const bool takes_profit = type_of(flags) == kTakeProfit || type_of(flags) == kTakeProfitLimit;
  return (side_of(flags) == kBuy) != takes_profit;
}

struct Command {  // first stripe
  std::uint64_t sequence;
  std::int64_t time_us;
  Opcode opcode;
  std::uint8_t version;
  std::uint8_t stripes;
  std::uint8_t text_length;
  std::uint16_t symbol_id;
  std::uint16_t flags;
  std::uint64_t account_id;
  std::uint64_t key_low;
  std::uint64_t key_high;
  std::int64_t a;
  std::int64_t b;
};
static_assert(sizeof(Command) == kStripe);

inline const Command& command_at(const std::uint8_t* record) {
  return *reinterpret_cast<const Command*>(record);
}

struct MarketStripe {  // of a market's rules, then their fees
  std::uint16_t base_asset_id;
  std::uint16_t quote_asset_id;
  std::int32_t max_taker_fee_ppm;
  std::int64_t band_ppm;
  std::int64_t listing_price_ticks;
  std::int64_t max_order_lots;
  std::int64_t max_position_lots;
  std::uint32_t max_open_orders;
  std::uint32_t zero[5];
};
static_assert(sizeof(MarketStripe) == kStripe);

struct FeeRates {
  std::int32_t maker_ppm;  // negative: a rebate
  std::int32_t taker_ppm;
};

struct FeeTable {  // by tier
  FeeRates tier[kMaxFeeTiers];
};
static_assert(sizeof(FeeTable) == kStripe);

struct TermsStripe {  // of an order: the rarer ones
  std::int64_t quote_budget;
  std::int64_t expires_us;
  std::int64_t display;
  std::int64_t trigger;
  std::int64_t trailing;
  std::uint64_t zero[3];

  bool is_whole() const { return (zero[0] | zero[1] | zero[2]) == 0; }
};
static_assert(sizeof(TermsStripe) == kStripe);

struct BracketStripe {  // a quarter of one
  std::int64_t floor_units;
  std::int32_t mmr_ppm, imr_ppm;
};

inline constexpr std::size_t kMaxBrackets = 8;
inline constexpr std::size_t kMaxSources = 8;  // of an index; a source is its place among them

struct TermsOfPerpetual {  // numbers in the order of TermNumbers, then brackets, unused ones zero
  std::int64_t numbers[32];
  BracketStripe rows[kMaxBrackets];
};
static_assert(sizeof(TermsOfPerpetual) == 6 * kStripe);

struct IndexStripes {
  std::int64_t prices_ticks[kMaxSources];  // 0: says nothing
  std::int64_t times_us[kMaxSources];
};
static_assert(sizeof(IndexStripes) == 2 * kStripe);

struct StepStripe {  // of a liquidation
  std::uint64_t expected_scope_version;
  std::uint64_t counterparty_id;
  std::uint64_t zero[6];
};
static_assert(sizeof(StepStripe) == kStripe);

struct AmendStripe {
  std::uint64_t order_id;
  std::int64_t trigger;
  std::uint64_t zero[6];
};
static_assert(sizeof(AmendStripe) == kStripe);

struct StatusStripes {  // who sets a state and why: printable ASCII, zero padded
  char actor[32];
  char reason[96];
};
static_assert(sizeof(StatusStripes) == 2 * kStripe);

struct EventStripe {
  std::uint64_t sequence;
  std::uint64_t head;  // index u16 | type u8 | part u8 | symbol_id u16 | flags u16
  std::uint64_t body[6];
};
static_assert(sizeof(EventStripe) == kStripe);

inline constexpr std::uint64_t event_head(std::uint16_t index, EventType type, std::uint8_t part,
                                          std::uint16_t symbol_id, std::uint16_t flags) {
  return std::uint64_t{index} | std::uint64_t{static_cast<std::uint8_t>(type)} << 16 |
         std::uint64_t{part} << 24 | std::uint64_t{symbol_id} << 32 | std::uint64_t{flags} << 48;
}

}  // namespace rialto
