// An engine that one thread drives while others ask it questions.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "engine.hpp"

namespace rialto {

// Until somebody drives it, whoever calls uses the engine himself. From then on the driving thread
// alone touches it: a question is handed to it and answered between two batches, so that nobody's
// lock, and nobody who was put to sleep while he held one, can make it wait.
class SharedEngine {
 public:
  explicit SharedEngine(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  // Returns what `question` returns of the engine; one question at a time. What it throws is thrown
  // here.
  template <typename Question>
  auto ask(Question question) -> std::invoke_result_t<Question&, Engine&> {
    using Found = std::invoke_result_t<Question&, Engine&>;
    std::optional<Found> found;
    std::exception_ptr thrown;
    const std::function<void(Engine&)> run = [&](Engine& engine) {
      try {
        found.emplace(question(engine));
      } catch (...) {
        thrown = std::current_exception();
      }
    };
    hand_over(run);
    if (thrown) std::rethrow_exception(thrown);
    return std::move(*found);
  }

  // Changes the engine, which nobody may drive meanwhile.
  template <typename Change>
  auto change(Change change) {
    const std::lock_guard lock(asking_);
    if (driven_) throw std::logic_error("the engine's loop alone applies commands");
    return change(*engine_);
  }

  // ---- the driving thread, and who starts it

  // From now on another thread drives; `wake` makes it look at `answer`, soon and from any thread.
  Engine& drive(std::function<void()> wake) {
    const std::lock_guard lock(asking_);
    wake_ = std::move(wake);
    driven_ = true;
    return *engine_;
  }

  // The driving thread, between two batches.
  bool is_asked() const { return asked_.load() != nullptr; }
  void answer() {
    if (const Asked* question = asked_.exchange(nullptr)) run(*question);
  }

  // The driving thread, after its last batch.
  void let_go() {
    driven_ = false;
    answer();
  }

  // Who started it, after that: `wake` is not called any more.
  void forget_driver() {
    const std::lock_guard lock(asking_);
    wake_ = nullptr;
  }

 private:
  using Asked = std::function<void(Engine&)>;

  void run(const Asked& question) {
    question(*engine_);
    answered_.store(1, std::memory_order_release);
    answered_.notify_one();
  }

  void hand_over(const Asked& question) {
    const std::lock_guard lock(asking_);
    if (!driven_) return question(*engine_);
    answered_ = 0;
    asked_ = &question;
    if (driven_)
      wake_();
    else
      answer();  // the driver has just gone: one of the two finds the question
    answered_.wait(0, std::memory_order_acquire);
  }

  std::unique_ptr<Engine> engine_;
  std::mutex asking_;  // among those who ask; the driving thread never takes it
  std::function<void()> wake_;
  std::atomic<bool> driven_{false};
  std::atomic<int> answered_{0};
  std::atomic<const Asked*> asked_{nullptr};
};

}  // namespace rialto
