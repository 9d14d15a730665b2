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
  submitted_.put(std::move(submitted));
  to_loop.ring();
}

void Mailbox::listen(int fd) {
  listeners_.put(fd);
  to_loop.ring();
}

void Mailbox::answer(std::vector<Answered> answers) {
  answers_.put(std::move(answers));
  to_python.ring();
}

std::vector<Answered> Mailbox::take_answers() {
  std::vector<Answered> all;
  for (std::vector<Answered>& some : answers_.take())
    all.insert(all.end(), std::make_move_iterator(some.begin()),
               std::make_move_iterator(some.end()));
  return all;
}

void Mailbox::note_closed(int fault, const std::string& text) {
  if (notes_.fetch_add(1) < kMostNotes) closed_.put({fault, text});
  to_python.ring();
}

std::vector<ClosedConnection> Mailbox::take_closed() {
  notes_ = 0;
  return closed_.take();
}

void Mailbox::fail(Fault fault, const std::string& text) {
  {
    const std::lock_guard lock(failing_);
    if (failed()) return;
    failure_ = {fault, text};
    failed_.store(true, std::memory_order_release);
  }
  to_python.ring();
  to_loop.ring();
}

Failure Mailbox::failure() {
  const std::lock_guard lock(failing_);
  return failure_;
}

void Mailbox::readable(std::uint64_t sequence) {
  std::uint64_t wanted = wanted_.load();
  if (sequence > wanted && wanted_.compare_exchange_strong(wanted, kNobody)) to_python.ring();
}

}  // namespace rialto::server
