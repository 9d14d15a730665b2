// Order flows that are drawn from a seed: the scenarios under which the engine is measured.
//
// All trade one market: a command in ten takes what rests, the others quote around a middle that
// the scenario moves, or cancel one of the orders that rest, drawn uniformly. Account = (id mod
// 500) x 2 + side + 1, so that nobody trades with himself; the client order id is the id.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/wire.hpp"
#include "flow_book.hpp"

namespace rialto {

// What the engine must answer a command with.
struct Answer {
  EventType outcome = EventType::kOrderAccepted;  // the first event
  std::uint32_t stripes = 0;                      // of the whole group
};

// A stretch of a scenario. Shares are of a hundred commands; what is left quotes.
struct Phase {
  std::uint32_t commands;       // how long it lasts
  std::int32_t ticks_per_1000;  // how far the middle moves in 1,000 commands
  std::uint32_t cancels;
  std::uint32_t takes;          // 10 ticks through the touch, 1 to 300 lots, the rest stays
  std::uint32_t sweeps;         // IOC: everything up to the middle, where that crosses
  std::uint32_t mean_distance;  // of quotes from the middle, in ticks; exponential
};

struct Scenario {
  const char* name;
  const char* description;
  std::uint32_t opening_quotes;  // sent before anything is measured
  bool opening_stays;            // they are deep, and never cancelled
  std::uint32_t most_live;       // from here on quotes become cancels
  std::vector<Phase> phases;     // over and over
};

const std::vector<Scenario>& scenarios();

class Flow {
 public:
  static constexpr std::uint16_t kSymbol = 1;
  static constexpr std::int64_t kMiddle = 100'000;

  // `run` goes into the upper half of the client order ids; an unknown name is invalid_argument.
  Flow(const std::string& scenario, std::uint64_t seed, std::uint64_t run);

  // Writes the next command, unsequenced, and returns what must come back.
  Answer next(Command& command);

  std::uint32_t opening_quotes() const { return scenario_->opening_quotes; }
  std::uint64_t commands() const { return commands_; }
  std::uint64_t orders() const { return orders_; }
  const FlowBook& book() const { return book_; }

 private:
  std::uint64_t random();
  std::uint32_t below(std::uint32_t limit);
  std::uint32_t distance(std::uint32_t mean);
  const Phase& advance();
  Answer cancel(Command& command);
  Answer place(Command& command, int side, std::int64_t place, std::uint32_t lots, bool may_rest);
  Answer quote(Command& command, std::uint32_t mean);
  Answer opening(Command& command);

  const Scenario* scenario_;
  FlowBook book_;
  std::array<std::uint32_t, 256> quantiles_;  // of the exponential distribution, mean 1,024
  std::uint64_t state_, run_;
  std::uint64_t commands_ = 0, orders_ = 0;
  std::int64_t middle_milliticks_;
  std::size_t phase_ = 0;
  std::uint32_t phase_left_;
};

}  // namespace rialto
