#include "flow.hpp"

#include <cmath>
#include <stdexcept>

namespace rialto {

namespace {

constexpr std::int64_t kBottom = Flow::kMiddle - FlowBook::kWindow / 2;
constexpr std::int64_t kHighest = FlowBook::kWindow - 2;
constexpr std::uint32_t kEndless = 0xFFFFFFFFu;
constexpr std::uint32_t kStaticFrom = 1'000, kStaticLevels = 4'000;

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = {
      {"normal",
       "60 of 100 commands quote (mean 25 ticks from a middle that drifts), 30 cancel, 10 take",
       2'000,
       false,
       20'000,
       {{kEndless, 0, 30, 10, 0, 25}}},
      {"deep",
       "200,000 orders rest untouched on 8,000 levels behind a market that quotes and cancels far "
       "from the touch and seldom trades",
       200'000,
       true,
       100'000,
       {{kEndless, 0, 45, 2, 0, 250}}},
      {"swings",
       "the middle runs 2,000 ticks up and down again in 50,000 commands; IOC sweeps follow it",
       5'000,
       false,
       20'000,
       {{25'000, 80, 30, 8, 2, 25}, {25'000, -80, 30, 8, 2, 25}}},
      {"crash",
       "39,000 calm commands build a book, then 1,000 commands take the middle down by 3,000 "
       "ticks: sweeps through hundreds of orders, quotes pulled; then it climbs back",
       20'000,
       false,
       40'000,
       {{39'000, 0, 30, 5, 0, 100}, {1'000, -3'000, 60, 5, 10, 100}, {20'000, 150, 25, 5, 2, 100}}},
  };
  return all;
}

Flow::Flow(const std::string& scenario, std::uint64_t seed, std::uint64_t run)
    : scenario_(nullptr), state_(seed), run_(run), middle_milliticks_(kMiddle * 1'000) {
  for (const Scenario& each : scenarios())
    if (scenario == each.name) scenario_ = &each;
  if (scenario_ == nullptr) throw std::invalid_argument("there is no scenario " + scenario);
  phase_left_ = scenario_->phases[0].commands;
  for (std::size_t i = 0; i < quantiles_.size(); ++i)
    quantiles_[i] = static_cast<std::uint32_t>(
        std::lround(-1'024.0 * std::log(1.0 - static_cast<double>(i) / 256.0)));
}

// SplitMix64.
std::uint64_t Flow::random() {
  std::uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

std::uint32_t Flow::below(std::uint32_t limit) {
  return static_cast<std::uint32_t>((random() >> 32) * limit >> 32);
}

std::uint32_t Flow::distance(std::uint32_t mean) {
  return 1 + quantiles_[below(256)] * mean / 1'024;
}

Answer Flow::next(Command& command) {
  command = Command{};
  command.version = kCommandVersion;
  command.stripes = 1;
  command.symbol_id = kSymbol;
  command.key_high = run_;
  ++commands_;
  if (commands_ <= scenario_->opening_quotes) return opening(command);
  const Phase& phase = advance();
  const std::uint32_t draw = below(100);
  const std::uint32_t live = book_.live_count();
  if (live != 0 && (draw < phase.cancels || live >= scenario_->most_live)) return cancel(command);
  const std::int64_t middle = middle_milliticks_ / 1'000 - kBottom;
  if (draw < phase.cancels + phase.sweeps) {
    const int side = phase.ticks_per_1000 < 0;
    const std::uint32_t touch = book_.best(1 - side);
    if (touch != FlowBook::kNone && (side == 0 ? touch <= middle : touch >= middle))
      return place(command, side, middle, 1'000'000, false);
  } else if (draw < phase.cancels + phase.sweeps + phase.takes) {
    const int side = static_cast<int>(below(2));
    const std::uint32_t touch = book_.best(1 - side);
    if (touch != FlowBook::kNone)
      return place(command, side, std::int64_t{touch} + (side == 0 ? 10 : -10), 1 + below(300),
                   true);
  }
  return quote(command, phase.mean_distance);
}

const Phase& Flow::advance() {
  if (phase_left_ == 0) {
    phase_ = (phase_ + 1) % scenario_->phases.size();
    phase_left_ = scenario_->phases[phase_].commands;
  }
  const Phase& phase = scenario_->phases[phase_];
  if (phase_left_ != kEndless) --phase_left_;
  middle_milliticks_ += phase.ticks_per_1000;
  if (phase.ticks_per_1000 == 0 && below(50) == 0) {
    // A drift that comes home: the further away, the likelier a step back.
    const std::int64_t away = middle_milliticks_ / 1'000 - kMiddle;
    middle_milliticks_ += std::int64_t{below(8'000)} >= 4'000 + away ? 1'000 : -1'000;
  }
  return phase;
}

Answer Flow::cancel(Command& command) {
  const std::uint32_t at = below(book_.live_count());
  const FlowBook::Order& order = book_.live_order(at);
  command.opcode = Opcode::kCancelOrder;
  command.account_id = order.id % 500 * 2 + static_cast<unsigned>(order.side) + 1;
  command.key_low = order.id;
  book_.cancel(at);
  return {EventType::kCancelAccepted, 2};
}

Answer Flow::quote(Command& command, std::uint32_t mean) {
  const int side = static_cast<int>(below(2));
  const std::uint32_t touch = book_.best(1 - side);
  const std::int64_t away = distance(mean);
  std::int64_t at = middle_milliticks_ / 1'000 - kBottom + (side == 0 ? -away : away);
  if (touch != FlowBook::kNone)
    at = side == 0 ? std::min<std::int64_t>(at, std::int64_t{touch} - 1)
                   : std::max<std::int64_t>(at, std::int64_t{touch} + 1);
  return place(command, side, at, 1 + below(100), true);
}

Answer Flow::opening(Command& command) {
  if (!scenario_->opening_stays) return quote(command, scenario_->phases[0].mean_distance);
  const int side = static_cast<int>(below(2));
  const std::int64_t away = kStaticFrom + below(kStaticLevels);
  return place(command, side, kMiddle - kBottom + (side == 0 ? -away : away), 1 + below(100), true);
}

Answer Flow::place(Command& command, int side, std::int64_t place, std::uint32_t lots,
                   bool may_rest) {
  place = std::clamp<std::int64_t>(place, 1, kHighest);
  const std::uint64_t id = ++orders_;
  command.opcode = Opcode::kPlaceOrder;
  command.flags = static_cast<std::uint16_t>(side | (may_rest ? kGtc : kIoc) << 5);
  command.account_id = id % 500 * 2 + static_cast<unsigned>(side) + 1;
  command.key_low = id;
  command.a = place + kBottom;
  command.b = lots;
  const bool may_cancel = commands_ > scenario_->opening_quotes || !scenario_->opening_stays;
  const FlowBook::Outcome outcome =
      book_.add(id, side, lots, static_cast<std::uint32_t>(place), may_rest, may_cancel);
  // Accepted (2), each trade (2), each maker that is filled (1), and how the order ended (1).
  return {EventType::kOrderAccepted, 3 + 2 * outcome.fills + outcome.makers_gone};
}

}  // namespace rialto
