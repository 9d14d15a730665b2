// How long frames stay inside: from read to answer written. Buckets are log-linear, one percent.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>

namespace rialto::server {

struct ServiceSummary {
  std::uint64_t count, p50_ns, p99_ns, p999_ns, max_ns;  // upper bounds of their buckets
};

// One thread records, any other asks.
class ServiceTimes {
 public:
  void record(std::uint64_t ns) {
    auto& bucket = counts_[bucket_of(ns)];
    bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  // Since the last reset.
  ServiceSummary summary();
  void reset();

 private:
  static constexpr unsigned kBits = 6;  // 64 buckets for each power of two
  static constexpr std::size_t kBuckets = (64 - kBits + 1) << kBits;

  static std::size_t bucket_of(std::uint64_t ns) {
    const int shift = static_cast<int>(std::bit_width(ns | 1)) - static_cast<int>(kBits) - 1;
    if (shift <= 0) return ns;
    return (static_cast<std::size_t>(shift) << kBits) + (ns >> shift);
  }
  static std::uint64_t upper_bound(std::size_t bucket) {
    const std::size_t shift = bucket >> kBits;
    if (shift <= 1) return bucket;
    const std::uint64_t base = (bucket & ((1u << kBits) - 1)) + (1u << kBits);
    return ((base + 1) << (shift - 1)) - 1;
  }

  std::array<std::atomic<std::uint64_t>, kBuckets> counts_{};
  std::array<std::uint64_t, kBuckets> before_{};
  std::mutex mutex_;  // of before_
};

}  // namespace rialto::server
