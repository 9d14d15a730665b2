// Counts of durations, log-linear: three significant digits from a nanosecond to hours.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace rialto {

// One thread adds; any thread asks, and begins anew, at any time without making it wait.
class Histogram {
 public:
  // What was counted, as it stood at one moment.
  class Counts {
   public:
    std::uint64_t count() const { return count_; }

    // The smallest duration that at least `parts` of a million do not exceed, rounded up within its
    // step (a thousandth of it); 0 where nothing was counted.
    std::uint64_t at(std::uint64_t parts_per_million) const {
      const auto wanted = static_cast<std::uint64_t>(
          (static_cast<unsigned __int128>(count_) * parts_per_million + 999'999) / 1'000'000);
      std::uint64_t seen = 0;
      for (std::size_t place = 0; place < counts_.size() && count_ != 0; ++place) {
        seen += counts_[place];
        if (seen >= wanted && seen != 0) return end_of(place);
      }
      return 0;
    }

    std::uint64_t most() const { return at(1'000'000); }

   private:
    friend class Histogram;
    std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kPlaces);
    std::uint64_t count_ = 0;
  };

  void add(std::uint64_t ns) {
    auto& count = counts_[place_of(ns)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  // Since `forget`.
  Counts counts() const {
    Counts out;
    const std::lock_guard lock(mutex_);
    for (std::size_t place = 0; place < kPlaces; ++place) {
      const std::uint64_t before = forgotten_.empty() ? 0 : forgotten_[place];
      out.counts_[place] = counts_[place].load(std::memory_order_relaxed) - before;
      out.count_ += out.counts_[place];
    }
    return out;
  }

  void forget() {
    const std::lock_guard lock(mutex_);
    forgotten_.resize(kPlaces);
    for (std::size_t place = 0; place < kPlaces; ++place)
      forgotten_[place] = counts_[place].load(std::memory_order_relaxed);
  }

 private:
  static constexpr int kBits = 11;  // 1,024 steps in each power of two, 2,048 in the first
  static constexpr std::uint64_t kSteps = std::uint64_t{1} << (kBits - 1);
  static constexpr std::size_t kPlaces = kSteps * 40;

  static std::size_t place_of(std::uint64_t ns) {
    const int width = static_cast<int>(std::bit_width(ns));
    if (width <= kBits) return ns;
    const int shift = width - kBits;
    const std::size_t place = kSteps * static_cast<std::size_t>(shift) + (ns >> shift);
    return place < kPlaces ? place : kPlaces - 1;
  }

  static std::uint64_t end_of(std::size_t place) {
    if (place < 2 * kSteps) return place;
    const std::size_t shift = place / kSteps - 1;
    return (((place - kSteps * shift) + 1) << shift) - 1;
  }

  using Count = std::atomic<std::uint64_t>;
  std::vector<Count> counts_ = std::vector<Count>(kPlaces);
  mutable std::mutex mutex_;  // of forgotten_: between those who ask
  std::vector<std::uint64_t> forgotten_;
};

}  // namespace rialto
