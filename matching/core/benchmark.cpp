#include "benchmark.hpp"

#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <utility>

#include "bare_book.hpp"
#include "engine.hpp"

namespace rialto {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kSymbol = 1, kBase = 1, kQuote = 2;
constexpr std::uint64_t kAccounts = 1'000;
constexpr std::int64_t kRich = 1'000'000'000'000'000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Nanoseconds of one tick of the time-stamp counter, against the steady clock.
double tick_ns() {
  const auto start = Clock::now();
  const std::uint64_t from = __rdtsc();
  while (seconds_since(start) < 0.02) {
  }
  return seconds_since(start) * 1e9 / static_cast<double>(__rdtsc() - from);
}

Command numbered(Opcode opcode, std::uint64_t sequence, std::int64_t time_us) {
  Command command{};
  command.sequence = sequence;
  command.time_us = time_us;
  command.opcode = opcode;
  command.version = kCommandVersion;
  command.stripes = 1;
  return command;
}

void append(std::vector<std::uint8_t>& bytes, const void* stripe) {
  const std::size_t end = bytes.size();
  bytes.resize(end + kStripe);
  std::memcpy(&bytes[end], stripe, kStripe);
}

// A record of so many stripes, the first of which is the command.
Command record_of(Opcode opcode, std::uint64_t sequence, std::int64_t time_us,
                  std::uint8_t stripes) {
  Command command = numbered(opcode, sequence, time_us);
  command.stripes = stripes;
  return command;
}

// What a market is listed with: fees, and no bound that the flow would meet.
void append_rules(std::vector<std::uint8_t>& bytes, std::int64_t price, bool is_perpetual) {
  MarketStripe more{};
  FeeTable fees{};
  for (FeeRates& rates : fees.tier) rates = {100, 200};
  more.base_asset_id = kBase;
  more.quote_asset_id = kQuote;
  more.max_taker_fee_ppm = 200;
  more.max_open_orders = is_perpetual ? 1'000 : 1'000'000'000;
  more.band_ppm = is_perpetual ? 990'000 : 1'000'000'000;
  more.listing_price_ticks = price;
  more.max_order_lots = 1'000'000'000;
  append(bytes, &more);
  append(bytes, &fees);
}

void append_credits(std::vector<std::uint8_t>& bytes, std::uint64_t& sequence) {
  for (std::uint64_t account = 1; account <= kAccounts; ++account)
    for (const std::uint16_t asset : {kBase, kQuote}) {
      Command credit = numbered(Opcode::kCredit, ++sequence, 1'000);
      credit.symbol_id = asset;
      credit.account_id = account;
      credit.key_low = account * 2 + asset;
      credit.key_high = 1;
      credit.a = kRich;
      credit.b = 1'000;
      append(bytes, &credit);
    }
}

// One spot market with fees and a wide band, and money for every account.
std::vector<std::uint8_t> opening(std::uint64_t& sequence) {
  std::vector<std::uint8_t> bytes;
  Command listing = record_of(Opcode::kListSymbol, ++sequence, 1'000, 3);
  listing.symbol_id = kSymbol;
  listing.a = listing.b = 1;
  append(bytes, &listing);
  append_rules(bytes, 100'000, false);
  append_credits(bytes, sequence);
  return bytes;
}

// ---- the same flow in a perpetual ------------------------------------------------------------

constexpr std::uint16_t kPerpetuals = 4;      // listed; the flow is in the first
constexpr std::size_t kIndexEvery = 100;      // batches
constexpr std::int64_t kFreshUs = 200'000'000;  // when the mark has been there for long enough

void append_index(std::vector<std::uint8_t>& bytes, std::uint64_t sequence, std::int64_t time_us,
                  std::uint16_t symbol_id, std::int64_t price) {
  Command command = record_of(Opcode::kSetIndex, sequence, time_us, 3);
  command.symbol_id = symbol_id;
  IndexStripes said{};
  for (std::size_t source = 0; source < 3; ++source) {
    said.prices_ticks[source] = price;
    said.times_us[source] = time_us;
  }
  append(bytes, &command);
  bytes.insert(bytes.end(), reinterpret_cast<const std::uint8_t*>(&said),
               reinterpret_cast<const std::uint8_t*>(&said) + sizeof said);
}

PerpetualTerms perpetual_terms() {
  PerpetualTerms terms{};
  terms.brackets = {{{0, 5'000, 10'000, 0}}, kMaxValueUnits};
  terms.cap_units = kMaxValueUnits;
  terms.max_leverage = terms.max_slices = terms.slices_seconds = 100;
  terms.impact_units = terms.slice_min_units = 1;
  terms.slice_max_portion_ppm = terms.breaker_max_move_ppm = kPpm;
  terms.funding_interval_seconds = 28'800;
  terms.index_min_sources = terms.breaker_min_sources = 3;
  terms.index_max_deviation_ppm = 50'000;
  terms.basis_window_us = 150'000'000;
  terms.index_max_age_us = terms.breaker_window_us = terms.breaker_max_empty_us = kLongestUs;
  return terms;
}

void append_order(std::vector<std::uint8_t>& bytes, std::uint64_t sequence, std::uint64_t account,
                  int side, std::int64_t price, std::int64_t lots) {
  Command command = numbered(Opcode::kPlaceOrder, sequence, kFreshUs);
  command.symbol_id = kSymbol;
  command.account_id = account;
  command.key_low = account;
  command.key_high = 2;
  command.flags = static_cast<std::uint16_t>(side);
  command.a = price;
  command.b = lots;
  append(bytes, &command);
}

// Perpetual markets that are open around the flow's price. Half of the accounts begin with a
// position that the flow closes part by part; the other half opens one.
std::vector<std::uint8_t> perpetual_opening(std::uint64_t& sequence, std::int64_t price) {
  constexpr std::int64_t kLots = 100'000'000;
  std::vector<std::uint8_t> bytes;
  const TermsOfPerpetual terms = wire_of(perpetual_terms());
  for (std::uint16_t symbol_id = kSymbol; symbol_id < kSymbol + kPerpetuals; ++symbol_id) {
    Command listing = record_of(Opcode::kListPerpetual, ++sequence, 1'000, 9);
    listing.symbol_id = symbol_id;
    listing.key_low = symbol_id;
    listing.a = listing.b = 1;
    append(bytes, &listing);
    append_rules(bytes, price, true);
    bytes.insert(bytes.end(), reinterpret_cast<const std::uint8_t*>(&terms),
                 reinterpret_cast<const std::uint8_t*>(&terms) + sizeof terms);
  }
  append_credits(bytes, sequence);
  for (const std::int64_t time_us : {std::int64_t{1'000}, kFreshUs})
    for (std::uint16_t symbol_id = kSymbol; symbol_id < kSymbol + kPerpetuals; ++symbol_id)
      append_index(bytes, ++sequence, time_us, symbol_id, price);
  for (std::uint64_t buyer = 1; buyer < kAccounts; buyer += 4) {
    append_order(bytes, ++sequence, buyer, 1 - kBuy, price, kLots);
    append_order(bytes, ++sequence, buyer + 1, kBuy, price, kLots);
  }
  return bytes;
}

// ---- the flow --------------------------------------------------------------------------------

// The price in the middle of the orders that the flow adds.
std::int64_t middle_of(const std::vector<FlowLine>& flow) {
  std::vector<std::int64_t> prices;
  for (const FlowLine& line : flow)
    if (line.op == 0) prices.push_back(line.price);
  if (prices.empty()) return 1;
  const auto middle = prices.begin() + static_cast<std::ptrdiff_t>(prices.size() / 2);
  std::nth_element(prices.begin(), middle, prices.end());
  return *middle;
}

// Commands of the flow: account = (id mod 500) x 2 + side, client order id = id. Before every
// `index_every` of them a number is left for an index, if that is not 0.
std::vector<Command> commands_of(const std::vector<FlowLine>& flow, std::uint64_t sequence,
                                 std::int64_t start_us, std::size_t index_every) {
  std::uint64_t last = 0;
  for (const FlowLine& line : flow) last = std::max(last, line.id);
  std::vector<std::uint8_t> side(last + 1);
  std::vector<Command> commands;
  commands.reserve(flow.size());
  for (const FlowLine& line : flow) {
    const bool adds = line.op == 0;
    if (adds) side[line.id] = line.side;
    sequence += index_every != 0 && commands.size() % index_every == 0;
    Command command = numbered(adds ? Opcode::kPlaceOrder : Opcode::kCancelOrder, ++sequence,
                               start_us + static_cast<std::int64_t>(commands.size() / 10));
    command.symbol_id = kSymbol;
    command.account_id = line.id % 500 * 2 + side[line.id] + 1;
    command.key_low = line.id;
    if (adds) {
      command.flags = line.side;
      command.a = line.price;
      command.b = line.quantity;
    }
    commands.push_back(command);
  }
  return commands;
}

// Adds a batch' fills to the checksum of the flow; of a spot market an order's number is its id there.
void account_for(std::span<const EventStripe> stripes, Measured& result) {
  constexpr std::uint64_t kNumber = (std::uint64_t{1} << 48) - 1;
  for (const EventStripe& stripe : stripes) {
    const auto type = static_cast<EventType>(stripe.head >> 16 & 0xFF);
    if (type == EventType::kCommandRejected || type == EventType::kOrderDuplicate)
      result.rejected += (stripe.head >> 24 & 0xFF) == 0;
    const bool is_trade = type == EventType::kTrade || type == EventType::kPerpetualTrade;
    if (!is_trade || (stripe.head >> 24 & 0xFF) != 0) continue;
    const std::uint64_t lots = (&stripe)[1].body[0];
    const std::uint64_t maker = stripe.body[1] & kNumber, taker = stripe.body[2] & kNumber;
    ++result.trades;
    result.volume += lots;
    result.checksum = (result.checksum * 1099511628211ull) ^
                      (maker * 0x9E3779B97F4A7C15ull + taker * 31 + stripe.body[5] * 17 + lots);
  }
}

}  // namespace

namespace {

// One pass of a flow: an engine that is opened, and its batches.
class Pass {
 public:
  Pass(const std::vector<FlowLine>& flow, const BenchmarkOptions& options)
      : options_(options), middle_(middle_of(flow)) {
    std::uint64_t sequence = 0;
    before_ = options.perpetual ? perpetual_opening(sequence, middle_) : opening(sequence);
    index_every_ = options.perpetual ? kIndexEvery * options.batch : 0;
    commands_ = commands_of(flow, sequence, options.perpetual ? kFreshUs : 2'000, index_every_);
    hot_.resize(options.batch);
  }

  std::size_t size() const { return commands_.size(); }

  void open() {
    engine = std::make_unique<Engine>(0);
    engine->state.closed_per_account = options_.closed_per_account;
    engine->state.reserve(commands_.size());
    const auto out = engine->apply(before_.data(), before_.size());
    for (const EventStripe& stripe : out)
      if (static_cast<EventType>(stripe.head >> 16 & 0xFF) == EventType::kCommandRejected)
        throw std::logic_error("the opening was refused");
  }

  // The batch that begins at a command, in the cache if it is to be; an index is set before it.
  std::pair<const Command*, std::size_t> batch(std::size_t at) {
    const std::size_t count = std::min<std::size_t>(options_.batch, commands_.size() - at);
    const Command* const found = &commands_[at];
    index_.clear();
    if (index_every_ != 0 && at % index_every_ == 0)
      append_index(index_, found->sequence - 1, found->time_us, kSymbol,
                   middle_ + static_cast<std::int64_t>(at / index_every_ % 3));
    if (!options_.warm_input) return {found, count};
    std::memcpy(hot_.data(), found, count * sizeof(Command));
    return {hot_.data(), count};
  }

  std::span<const EventStripe> apply(const Command* batch, std::size_t count) {
    if (!index_.empty()) {
      std::uint64_t* const stamps = std::exchange(engine->stamps, nullptr);
      engine->apply(index_.data(), index_.size());
      engine->stamps = stamps;
    }
    return engine->apply(reinterpret_cast<const std::uint8_t*>(batch), count * sizeof(Command));
  }

  std::unique_ptr<Engine> engine;

 private:
  BenchmarkOptions options_;
  std::int64_t middle_;
  std::size_t index_every_ = 0;
  std::vector<std::uint8_t> before_, index_;
  std::vector<Command> commands_, hot_;
};

}  // namespace

Measured measure_engine(const std::vector<FlowLine>& flow, const BenchmarkOptions& options) {
  Pass pass(flow, options);
  const double ns = tick_ns();
  Measured result;
  result.commands = pass.size();
  for (unsigned number = 0; number < options.passes; ++number) {
    pass.open();
    std::uint64_t ticks = 0;
    for (std::size_t at = 0; at < pass.size(); at += options.batch) {
      const auto [batch, count] = pass.batch(at);
      const std::uint64_t from = __rdtsc();
      const auto out = pass.apply(batch, count);
      ticks += __rdtsc() - from;
      if (number + 1 == options.passes) account_for(out, result);
    }
    result.seconds.push_back(static_cast<double>(ticks) * ns * 1e-9);
  }
  // Latency in a pass of its own: a stamp after each command costs a few nanoseconds.
  std::vector<std::uint64_t> stamps(options.batch + 1);
  pass.open();
  for (std::size_t at = 0; at < pass.size(); at += options.batch) {
    const auto [batch, count] = pass.batch(at);
    pass.engine->stamps = stamps.data();
    const std::uint64_t from = __rdtsc();
    pass.apply(batch, count);
    // What the batch costs before its first and after its last command is shared by all of it.
    const std::uint64_t shared = (__rdtsc() - from - (stamps[count] - stamps[0])) / count;
    for (std::size_t i = 0; i < count; ++i)
      result.latency_ns.push_back(
          static_cast<std::uint64_t>(static_cast<double>(stamps[i + 1] - stamps[i] + shared) * ns));
  }
  std::sort(result.latency_ns.begin(), result.latency_ns.end());
  return result;
}

namespace {

std::uint64_t resident_bytes() {
  std::uint64_t whole = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> whole >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

std::uint64_t measure_resting(std::uint64_t count) {
  constexpr std::size_t kBatch = 100;
  constexpr std::int64_t kLevels = 500;  // of each side
  std::uint64_t sequence = 0;
  const std::vector<std::uint8_t> before = opening(sequence);
  Engine engine(0);
  engine.apply(before.data(), before.size());
  std::vector<Command> batch;
  batch.reserve(kBatch);
  const std::uint64_t start = resident_bytes();
  for (std::uint64_t number = 1; number <= count; ++number) {
    Command command = numbered(Opcode::kPlaceOrder, ++sequence, 2'000);
    const auto level = static_cast<std::int64_t>(number / 2) % kLevels;
    command.symbol_id = kSymbol;
    command.account_id = number % kAccounts + 1;
    command.key_low = number;
    command.flags = number % 2;
    command.a = command.flags == kBuy ? 99'000 - level : 101'000 + level;
    command.b = 1;
    batch.push_back(command);
    if (batch.size() < kBatch && number < count) continue;
    engine.apply(reinterpret_cast<const std::uint8_t*>(batch.data()), batch.size() * kStripe);
    batch.clear();
  }
  if (engine.state.markets[0]->open_orders != count)
    throw std::logic_error("not every order came to rest");
  return resident_bytes() - start;
}

Measured measure_bare_book(const std::vector<FlowLine>& flow, unsigned passes) {
  Measured result;
  result.commands = flow.size();
  std::uint64_t last = 0;
  std::int64_t low = kInt64Max, high = 0;
  for (const FlowLine& line : flow) {
    last = std::max(last, line.id);
    low = std::min(low, line.price);
    high = std::max(high, line.price);
  }
  if (flow.empty() || last >= 0xFFFFFFFFu || high - low >= BareBook::kWindow)
    throw std::invalid_argument("the bare book takes 32-bit ids and 65,536 ticks of prices");
  for (unsigned pass = 0; pass < passes; ++pass) {
    BareBook book(low, static_cast<std::uint32_t>(last));
    const auto start = Clock::now();
    for (std::size_t at = 0; at < flow.size(); ++at) {
      if (at + 24 < flow.size()) book.prefetch(static_cast<std::uint32_t>(flow[at + 24].id));
      const FlowLine& line = flow[at];
      const auto id = static_cast<std::uint32_t>(line.id);
      if (line.op == 0)
        book.add(id, line.side, line.quantity, line.price);
      else
        book.cancel(id);
    }
    result.seconds.push_back(seconds_since(start));
    result.trades = book.trades;
    result.volume = book.volume;
    result.checksum = book.checksum;
  }
  return result;
}

}  // namespace rialto
