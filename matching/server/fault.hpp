// How the engine ends: a fault of matching.segments.JournalFault, or 0 for anything else.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace rialto::server {

enum class Fault : int { kOther = 0, kCorruptSegment = 2, kWriteFailed = 8, kSyncFailed = 9 };

struct EngineFault : std::runtime_error {
  EngineFault(Fault number, const std::string& text) : std::runtime_error(text), fault(number) {}
  Fault fault;
};

// A system call on a file failed; which fault that means is its caller's to say.
struct FileError : std::runtime_error {
  FileError(const std::string& name, int error)
      : std::runtime_error(name + ": " + std::strerror(error)) {}
};

}  // namespace rialto::server
