// Frames of the binary door, as infra/engine_frames.py lays them out.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace rialto::server {

inline constexpr std::uint8_t kProtocol = 1;
inline constexpr std::size_t kMaxFrame = 1 << 20;
inline constexpr std::size_t kMaxToken = 256;
inline constexpr std::size_t kMaxErrorText = 1000;

enum class FrameKind : std::uint8_t {
  kHello = 1,
  kWelcome = 2,
  kCommands = 3,
  kEvents = 4,
  kError = 5
};

// Why a door closes a connection; infra.engine_frames.FrameFault.
enum class FrameFault : std::uint16_t {
  kBadFrame = 1,
  kFrameTooLarge = 2,
  kVersionMismatch = 3,
  kBadToken = 4,
  kMalformedCommands = 5,
  kSlowReader = 6,
  kStopping = 7,
  kHandshakeTimeout = 8,
};

#pragma pack(push, 1)
struct FrameHead {
  std::uint32_t payload_bytes;
  FrameKind kind;
  std::uint8_t protocol;
  std::uint16_t code;
  std::uint64_t correlation;
};
static_assert(sizeof(FrameHead) == 16);

struct HelloBody {  // the token follows
  std::uint16_t protocol, schema;
  std::uint8_t role;
  std::uint8_t zero[3];
  std::uint64_t build_id;
};
static_assert(sizeof(HelloBody) == 16);

struct WelcomeBody {
  std::uint16_t protocol, schema;
  std::uint32_t shard;
  std::uint64_t epoch, sequence, build_id;
};
static_assert(sizeof(WelcomeBody) == 32);
#pragma pack(pop)

// A peer does not keep to the protocol; `fault` is what it is told.
struct PeerError : std::runtime_error {
  PeerError(FrameFault number, const std::string& text) : std::runtime_error(text), fault(number) {}
  FrameFault fault;
};

struct Frame {
  FrameHead head;
  const std::uint8_t* payload;  // until the connection reads again
};

}  // namespace rialto::server
