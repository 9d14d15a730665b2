// Division with its rounding in the name, on 128 bits: domain/rounding.py in C++. Divisors are
// positive.
#pragma once

#include <cstdint>

#include "wire.hpp"

namespace rialto {

using Wide = __int128;

// Most numbers fit into 64 bits, where a division is an instruction and not a call.
inline constexpr bool are_narrow(Wide numerator, Wide divisor) {
  return numerator == static_cast<std::int64_t>(numerator) &&
         divisor == static_cast<std::int64_t>(divisor);
}

inline constexpr Wide floor_div(Wide numerator, Wide divisor) {
  if (are_narrow(numerator, divisor)) [[likely]] {
    const auto a = static_cast<std::int64_t>(numerator), b = static_cast<std::int64_t>(divisor);
    return a / b - (a % b < 0 ? 1 : 0);
  }
  const Wide quotient = numerator / divisor;
  return numerator % divisor < 0 ? quotient - 1 : quotient;
}

inline constexpr Wide ceil_div(Wide numerator, Wide divisor) {
  if (are_narrow(numerator, divisor)) [[likely]] {
    const auto a = static_cast<std::int64_t>(numerator), b = static_cast<std::int64_t>(divisor);
    return a / b + (a % b > 0 ? 1 : 0);
  }
  const Wide quotient = numerator / divisor;
  return numerator % divisor > 0 ? quotient + 1 : quotient;
}

inline constexpr Wide truncate_div(Wide numerator, Wide divisor) {
  if (are_narrow(numerator, divisor)) [[likely]]
    return static_cast<std::int64_t>(numerator) / static_cast<std::int64_t>(divisor);
  return numerator / divisor;
}

// The nearest whole quotient; halfway between two, the even one.
inline constexpr Wide half_even_div(Wide numerator, Wide divisor) {
  const Wide quotient = floor_div(numerator, divisor);
  const Wide twice = 2 * (numerator - quotient * divisor);
  return twice > divisor || (twice == divisor && (quotient & 1) != 0) ? quotient + 1 : quotient;
}

// Signed amounts and rates, in 64 bits where the result is one: the whole millions go first.
inline constexpr std::int64_t floor_rate(std::int64_t amount, std::int64_t rate_ppm) {
  const std::int64_t rest = amount % kPpm * rate_ppm;
  return amount / kPpm * rate_ppm + rest / kPpm - (rest % kPpm < 0 ? 1 : 0);
}

inline constexpr std::int64_t ceil_rate(std::int64_t amount, std::int64_t rate_ppm) {
  const std::int64_t rest = amount % kPpm * rate_ppm;
  return amount / kPpm * rate_ppm + rest / kPpm + (rest % kPpm > 0 ? 1 : 0);
}

}  // namespace rialto
