#include "benchmark.hpp"

#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>

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
  command.stripes = opcode == Opcode::kListSymbol ? 3 : 1;
  return command;
}

void append(std::vector<std::uint8_t>& bytes, const void* stripe) {
  const std::size_t end = bytes.size();
  bytes.resize(end + kStripe);
  std::memcpy(&bytes[end], stripe, kStripe);
}

// One market with fees and a wide band, and money for every account.
std::vector<std::uint8_t> opening(std::uint64_t& sequence) {
  std::vector<std::uint8_t> bytes;
  Command listing = numbered(Opcode::kListSymbol, ++sequence, 1'000);
  listing.symbol_id = kSymbol;
  listing.a = listing.b = 1;
  MarketStripe more{};
  FeeTable fees{};
  for (FeeRates& rates : fees.tier) rates = {100, 200};
  more.base_asset_id = kBase;
  more.quote_asset_id = kQuote;
  more.max_taker_fee_ppm = 200;
  more.max_open_orders = 1'000'000'000;
  more.band_ppm = 1'000'000'000;
  more.listing_price_ticks = 100'000;
  more.max_order_lots = 1'000'000'000;
  append(bytes, &listing);
  append(bytes, &more);
  append(bytes, &fees);
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
  return bytes;
}

// Commands of the flow: account = (id mod 500) x 2 + side, client order id = id.
std::vector<Command> commands_of(const std::vector<FlowLine>& flow, std::uint64_t sequence) {
  std::uint64_t last = 0;
  for (const FlowLine& line : flow) last = std::max(last, line.id);
  std::vector<std::uint8_t> side(last + 1);
  std::vector<Command> commands;
  commands.reserve(flow.size());
  for (const FlowLine& line : flow) {
    const bool adds = line.op == 0;
    if (adds) side[line.id] = line.side;
    Command command = numbered(adds ? Opcode::kPlaceOrder : Opcode::kCancelOrder, ++sequence,
                               2'000 + static_cast<std::int64_t>(commands.size() / 10));
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

// Adds a batch' fills to the checksum of the flow; an order's number is its id in the flow.
void account_for(std::span<const EventStripe> stripes, Measured& result) {
  constexpr std::uint64_t kNumber = (std::uint64_t{1} << 48) - 1;
  for (const EventStripe& stripe : stripes) {
    const auto type = static_cast<EventType>(stripe.head >> 16 & 0xFF);
    if (type == EventType::kCommandRejected || type == EventType::kOrderDuplicate)
      result.rejected += (stripe.head >> 24 & 0xFF) == 0;
    if (type != EventType::kTrade || (stripe.head >> 24 & 0xFF) != 0) continue;
    const std::uint64_t lots = (&stripe)[1].body[0];
    const std::uint64_t maker = stripe.body[1] & kNumber, taker = stripe.body[2] & kNumber;
    ++result.trades;
    result.volume += lots;
    result.checksum = (result.checksum * 1099511628211ull) ^
                      (maker * 0x9E3779B97F4A7C15ull + taker * 31 + stripe.body[5] * 17 + lots);
  }
}

}  // namespace

Measured measure_engine(const std::vector<FlowLine>& flow, const BenchmarkOptions& options) {
  std::uint64_t sequence = 0;
  const std::vector<std::uint8_t> before = opening(sequence);
  const std::vector<Command> commands = commands_of(flow, sequence);
  const double ns = tick_ns();
  Measured result;
  result.commands = commands.size();
  std::vector<Command> hot(options.batch);
  std::vector<std::uint64_t> stamps(options.batch + 1);
  for (unsigned pass = 0; pass < options.passes; ++pass) {
    const bool last = pass + 1 == options.passes;
    auto engine = std::make_unique<Engine>(0);
    engine->state.closed_per_account = options.closed_per_account;
    engine->state.reserve(commands.size());
    engine->apply(before.data(), before.size());
    std::uint64_t ticks = 0;
    for (std::size_t at = 0; at < commands.size(); at += options.batch) {
      const std::size_t count = std::min<std::size_t>(options.batch, commands.size() - at);
      const Command* batch = &commands[at];
      if (options.warm_input) {
        std::memcpy(hot.data(), batch, count * sizeof(Command));
        batch = hot.data();
      }
      const std::uint64_t from = __rdtsc();
      const auto out =
          engine->apply(reinterpret_cast<const std::uint8_t*>(batch), count * sizeof(Command));
      ticks += __rdtsc() - from;
      if (last) account_for(out, result);
    }
    result.seconds.push_back(static_cast<double>(ticks) * ns * 1e-9);
  }
  // Latency in a pass of its own: a stamp after each command costs a few nanoseconds.
  auto engine = std::make_unique<Engine>(0);
  engine->state.closed_per_account = options.closed_per_account;
  engine->state.reserve(commands.size());
  engine->apply(before.data(), before.size());
  for (std::size_t at = 0; at < commands.size(); at += options.batch) {
    const std::size_t count = std::min<std::size_t>(options.batch, commands.size() - at);
    std::memcpy(hot.data(), &commands[at], count * sizeof(Command));
    engine->stamps = stamps.data();
    const std::uint64_t from = __rdtsc();
    engine->apply(reinterpret_cast<const std::uint8_t*>(hot.data()), count * sizeof(Command));
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
