// Measures the engine on a recorded flow, in one thread and in batches; see workers/cli/bench.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rialto {

// One line of the flow file: 24 bytes, little endian.
struct FlowLine {
  std::uint8_t op;  // 0 = add limit GTC, 1 = cancel
  std::uint8_t side;
  std::uint16_t flags;
  std::uint32_t quantity;
  std::uint64_t id;
  std::int64_t price;
};
static_assert(sizeof(FlowLine) == 24);

struct Measured {
  std::vector<double> seconds;            // per pass
  std::vector<std::uint64_t> latency_ns;  // sorted, of the last pass, one a command
  std::uint64_t commands = 0, trades = 0, volume = 0, checksum = 0, rejected = 0;
};

struct BenchmarkOptions {
  unsigned passes = 9;
  unsigned batch = 100;
  std::uint32_t closed_per_account = 10'000;  // the dedupe window; 0 = none
  bool warm_input = true;                     // batches are in the cache, as after a socket read
  bool perpetual = false;                     // the flow is in a perpetual market
};

Measured measure_engine(const std::vector<FlowLine>& flow, const BenchmarkOptions& options);
// Bytes by which the process grows while `count` orders come to rest, without a hint beforehand.
std::uint64_t measure_resting(std::uint64_t count);
Measured measure_bare_book(const std::vector<FlowLine>& flow, unsigned passes);

}  // namespace rialto
