// The states of a perpetual market: domain/perpetual_state.py, whose numbers these are.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rialto {

enum class PerpetualState : std::uint8_t { kOpen, kGuarded, kReduceOnly, kHalted, kSettlement };

enum class StateTrigger : std::uint8_t {  // as StateTrigger there, in its order
  kStarted,
  kTripped,
  kCalm,
  kShortfall,
  kReduce,
  kHalt,
  kResume,
  kSettle,
};

// The state after a trigger; the same when the trigger does not concern it.
inline constexpr PerpetualState next_state(PerpetualState state, StateTrigger trigger) {
  using S = PerpetualState;
  using T = StateTrigger;
  const bool trades = state == S::kOpen || state == S::kGuarded;
  switch (trigger) {
    case T::kStarted:
    case T::kTripped:
      return state == S::kOpen ? S::kGuarded : state;
    case T::kCalm:
      return state == S::kGuarded ? S::kOpen : state;
    case T::kShortfall:
      if (state == S::kReduceOnly) return S::kHalted;
      return trades ? S::kReduceOnly : state;
    case T::kReduce:
      return trades ? S::kReduceOnly : state;
    case T::kHalt:
      return trades || state == S::kReduceOnly ? S::kHalted : state;
    case T::kResume:
      return state == S::kReduceOnly || state == S::kHalted ? S::kGuarded : state;
    case T::kSettle:
      return state == S::kHalted ? S::kSettlement : state;
  }
  return state;
}

// Whether a market has an uncovered shortfall after a trigger; `state` is before it.
inline constexpr bool in_shortfall_after(bool in_shortfall, PerpetualState state,
                                         StateTrigger trigger) {
  if (trigger == StateTrigger::kShortfall) return true;
  const bool resumes = trigger == StateTrigger::kResume && next_state(state, trigger) != state;
  return in_shortfall && !resumes;
}

}  // namespace rialto
