#include "mailbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <iterator>
#include <utility>

namespace rialto::server {

Bell::Bell() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!fd_) throw FileError("eventfd", errno);
}

void Bell::ring() {
  if (rung_.exchange(true)) return;
  const std::uint64_t one = 1;
  while (::write(fd_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Bell::quiet() {
  std::uint64_t count;
  while (::read(fd_.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
  rung_.store(false);
}

void Mailbox::submit(Submitted submitted) {
  {
    const std::lock_guard lock(mutex_);
    submitted_.push_back(std::move(submitted));
  }
  to_loop.ring();
}

std::vector<Submitted> Mailbox::take_submitted() {
  const std::lock_guard lock(mutex_);
  return std::exchange(submitted_, {});
}

void Mailbox::listen(int fd) {
  {
    const std::lock_guard lock(mutex_);
    listeners_.push_back(fd);
  }
  to_loop.ring();
}

std::vector<int> Mailbox::take_listeners() {
  const std::lock_guard lock(mutex_);
  return std::exchange(listeners_, {});
}

void Mailbox::answer(std::vector<Answered> answers) {
  {
    const std::lock_guard lock(mutex_);
    answers_.insert(answers_.end(), std::make_move_iterator(answers.begin()),
                    std::make_move_iterator(answers.end()));
  }
  to_python.ring();
}

std::vector<Answered> Mailbox::take_answers() {
  const std::lock_guard lock(mutex_);
  return std::exchange(answers_, {});
}

void Mailbox::note_closed(int fault, const std::string& text) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_.size() < kMostNotes) closed_.push_back({fault, text});
  }
  to_python.ring();
}

std::vector<ClosedConnection> Mailbox::take_closed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(closed_, {});
}

void Mailbox::fail(Fault fault, const std::string& text) {
  {
    const std::lock_guard lock(mutex_);
    if (failed()) return;
    failure_ = {fault, text};
    failed_.store(true, std::memory_order_release);
  }
  to_python.ring();
  to_loop.ring();
}

Failure Mailbox::failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Mailbox::readable(std::uint64_t sequence) {
  std::uint64_t wanted = wanted_.load();
  if (sequence > wanted && wanted_.compare_exchange_strong(wanted, kNobody)) to_python.ring();
}

}  // namespace rialto::server
