// An engine that one thread drives while others ask it questions.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "engine.hpp"

namespace rialto {

// Who applies or asks holds the mutex. It is recursive so that several questions may be asked of
// one state: hold it, ask, let go. A batch or a bounded question takes microseconds; handing
// questions to the driving thread would take it as long and cost both sides a wake-up.
struct SharedEngine {
  explicit SharedEngine(std::unique_ptr<Engine> given) : engine(std::move(given)) {}
  std::unique_ptr<Engine> engine;
  std::recursive_mutex mutex;
};

}  // namespace rialto
