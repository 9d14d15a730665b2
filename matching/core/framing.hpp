// Where a record of a batch ends: the framing rules of the byte table, for engine and doors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "wire.hpp"

namespace rialto {

// Bytes that do not follow the byte table; `fault` is matching.wire.WireFault.
struct WireError : std::runtime_error {
  WireError(int fault_number, const std::string& text)
      : std::runtime_error(text), fault(fault_number) {}
  int fault;
};

enum WireFault { kBadLength = 1, kBadVersion = 2, kUnknownOpcode = 3, kBadField = 6 };

inline bool known(Opcode opcode) {
  switch (opcode) {
    case Opcode::kPlaceOrder:
    case Opcode::kCancelOrder:
    case Opcode::kCancelAll:
    case Opcode::kAmendOrder:
    case Opcode::kSetDeadMansSwitch:
    case Opcode::kPlaceOrderList:
    case Opcode::kCredit:
    case Opcode::kDebit:
    case Opcode::kListPerpetual:
    case Opcode::kSetRiskParameters:
    case Opcode::kSetLeverage:
    case Opcode::kSetMarginMode:
    case Opcode::kMoveMargin:
    case Opcode::kSetIndex:
    case Opcode::kSetPerpetualState:
    case Opcode::kSettleFunding:
    case Opcode::kFreeze:
    case Opcode::kUnfreeze:
    case Opcode::kLiquidate:
    case Opcode::kTakeOver:
    case Opcode::kDeleverage:
    case Opcode::kUnwind:
    case Opcode::kTopUpFund:
    case Opcode::kSweepDust:
    case Opcode::kSettleMarket:
    case Opcode::kListSymbol:
    case Opcode::kSetSymbolState:
    case Opcode::kSetShardMode:
    case Opcode::kSetParameters:
    case Opcode::kSetAccountTier:
    case Opcode::kDelistSymbol:
    case Opcode::kStarted:
    case Opcode::kTick:
      return true;
  }
  return false;
}

// How many stripes a command has beside orders and lists, whose number varies.
inline std::uint8_t fixed_stripes(Opcode opcode) {
  switch (opcode) {
    case Opcode::kListSymbol:  // a market's rules and fees
    case Opcode::kSetParameters:
    case Opcode::kSetSymbolState:  // who sets a state and why
    case Opcode::kSetShardMode:
    case Opcode::kDelistSymbol:
    case Opcode::kSetPerpetualState:
    case Opcode::kSetIndex:
      return 3;
    case Opcode::kListPerpetual:
      return 9;
    case Opcode::kSetRiskParameters:
      return 7;
    case Opcode::kAmendOrder:
    case Opcode::kLiquidate:
    case Opcode::kTakeOver:
    case Opcode::kDeleverage:
      return 2;
    default:
      return 1;
  }
}

[[noreturn, gnu::cold]] inline void refuse_record(int fault, const char* what, std::size_t offset) {
  throw WireError(fault, std::string(what) + " at " + std::to_string(offset));
}

inline void check_whole_stripes(std::size_t size) {
  if (size % kStripe != 0)
    throw WireError(kBadLength, std::to_string(size) + " bytes are not whole stripes");
}

// The first four bytes after the stamp of a plain order or cancel, which need no further look.
inline constexpr std::uint32_t plain_record(Opcode opcode) {
  return static_cast<std::uint32_t>(opcode) | std::uint32_t{kCommandVersion} << 8 | 1u << 16;
}

inline bool is_plain(const Command& command) {
  std::uint32_t word;
  std::memcpy(&word, &command.opcode, sizeof word);
  return word == plain_record(Opcode::kPlaceOrder) || word == plain_record(Opcode::kCancelOrder);
}

// Stripes of a list: its own and those of its orders, which follow as records.
[[gnu::cold]] std::uint8_t list_stripes(const Command& command, std::size_t offset,
                                        std::size_t size);

// Stripes of the record at `offset` of a batch of `size` bytes (whole stripes); else WireError.
inline std::uint8_t stripes_of(const Command& command, std::size_t offset, std::size_t size) {
  if (is_plain(command)) [[likely]]
    return 1;
  if (command.version != kCommandVersion) refuse_record(kBadVersion, "command version", offset);
  if (!known(command.opcode)) refuse_record(kUnknownOpcode, "opcode", offset);
  if (command.opcode == Opcode::kPlaceOrderList) return list_stripes(command, offset, size);
  const bool is_order = command.opcode == Opcode::kPlaceOrder;
  std::uint8_t stripes = fixed_stripes(command.opcode);
  if (is_order && command.text_length != 0) stripes = 2;
  if (is_order && command.stripes == stripes + 1) ++stripes;  // the rarer terms
  if (command.stripes != stripes || command.text_length > (is_order ? kMaxText : 0))
    refuse_record(kBadLength, "stripes", offset);
  if (offset + stripes * kStripe > size) refuse_record(kBadLength, "a cut off record", offset);
  return stripes;
}

}  // namespace rialto
