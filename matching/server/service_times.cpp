#include "service_times.hpp"

namespace rialto::server {

ServiceSummary ServiceTimes::summary() {
  std::array<std::uint64_t, kBuckets> counts;
  ServiceSummary out{};
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t at = 0; at < kBuckets; ++at) {
      counts[at] = counts_[at].load(std::memory_order_relaxed) - before_[at];
      out.count += counts[at];
    }
  }
  const std::pair<std::uint64_t*, std::uint64_t> wanted[] = {
      {&out.p50_ns, 500}, {&out.p99_ns, 990}, {&out.p999_ns, 999}, {&out.max_ns, 1000}};
  for (const auto& [value, permille] : wanted) {
    const std::uint64_t rank = (out.count * permille + 999) / 1000;  // rounded up
    std::uint64_t seen = 0;
    for (std::size_t at = 0; at < kBuckets && rank != 0; ++at) {
      seen += counts[at];
      if (seen < rank) continue;
      *value = upper_bound(at);
      break;
    }
  }
  return out;
}

void ServiceTimes::reset() {
  const std::lock_guard lock(mutex_);
  for (std::size_t at = 0; at < kBuckets; ++at)
    before_[at] = counts_[at].load(std::memory_order_relaxed);
}

}  // namespace rialto::server
