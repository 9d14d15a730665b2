// The binary door's frames as the load client and the echo speak them; see infra/engine_frames.py.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>

namespace rialto {

struct FrameHeader {
  std::uint32_t bytes;
  std::uint8_t kind;
  std::uint8_t protocol;
  std::uint16_t code;
  std::uint64_t correlation;
};
static_assert(sizeof(FrameHeader) == 16);

enum FrameKind : std::uint8_t {
  kHelloFrame = 1,
  kWelcomeFrame = 2,
  kCommandsFrame = 3,
  kEventsFrame = 4,
  kErrorFrame = 5,
};

inline constexpr std::uint8_t kFrameProtocol = 1;

inline std::uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(t.tv_nsec);
}

[[noreturn]] inline void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace rialto
