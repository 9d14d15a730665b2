// The control of a latency measurement: takes the same frames, writes as many bytes to files in
// the same manner, answers with as many bytes, and does nothing else.
#pragma once

#include <cstdint>
#include <string>

namespace rialto {

struct EchoCounts {
  std::uint64_t commands = 0, bytes_in = 0, bytes_out = 0, syncs = 0;
};

// Serves one connection at `socket_path` and returns when it is closed. `folder` gets the files.
// With `fsync` answers wait until their commands are synced, many in one go, as the engine's do.
EchoCounts serve_echo(const std::string& socket_path, const std::string& folder, bool fsync);

}  // namespace rialto
