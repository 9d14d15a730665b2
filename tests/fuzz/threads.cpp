// What crosses threads in the engine's process, for ThreadSanitizer: questions that the driving
// thread answers between two batches, and the mailbox between Python and the loop. Threads ask and
// send while one drives, in every other round until after it has let go. With an argument one of
// them reads the engine unasked: that must be found.
#include <poll.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "shared_engine.hpp"
#include "mailbox.hpp"

namespace {

using namespace rialto;          // NOLINT: a program of one file
using namespace rialto::server;  // NOLINT

constexpr int kRounds = 100, kAskers = 3, kQuestions = 300;
constexpr std::uint64_t kSent = 300;

// As the loop does: a batch, what was asked, what was sent.
void drive(SharedEngine& shared, Engine& engine, Mailbox& mailbox) {
  while (!mailbox.wishes.quit) {
    pollfd wait{mailbox.to_loop.fd(), POLLIN, 0};
    ::poll(&wait, 1, 1);
    mailbox.to_loop.quiet();
    ++engine.state.sequence;
    shared.answer();
    std::vector<Answered> answers;
    for (const Submitted& one : mailbox.take_submitted())
      answers.push_back({one.ticket, one.commands});
    if (!answers.empty()) mailbox.answer(std::move(answers));
    mailbox.readable(engine.state.sequence);
    mailbox.note_closed(0, "gone");
  }
  shared.let_go();
}

// Asks again and again for a number that only grows.
void ask(SharedEngine& shared) {
  std::uint64_t last = 0;
  for (int left = kQuestions; left > 0; --left) {
    const auto seen = shared.ask([](const Engine& engine) { return engine.state.sequence; });
    if (seen < last) std::abort();
    last = seen;
  }
}

// As Python does: sends, and takes the answers until all are there.
void send(Mailbox& mailbox) {
  std::uint64_t answered = 0;
  for (std::uint64_t ticket = 0; answered < kSent; ++ticket) {
    if (ticket < kSent) mailbox.submit({ticket, 0, std::string(40, 'x')});
    mailbox.want_readable(ticket);
    mailbox.to_python.quiet();
    answered += mailbox.take_answers().size();
    mailbox.take_closed();
    mailbox.to_loop.ring();
  }
}

void run_round(bool ends_early, bool reads_unasked) {
  SharedEngine shared(std::make_unique<Engine>(0));
  Mailbox mailbox;
  Engine& engine = shared.drive([&mailbox] { mailbox.to_loop.ring(); });
  std::thread loop([&] { drive(shared, engine, mailbox); });
  std::vector<std::thread> askers;
  for (int number = 0; number < kAskers; ++number) askers.emplace_back([&] { ask(shared); });
  send(mailbox);
  if (reads_unasked) std::printf("%d\n", engine.state.sequence != 0);
  const auto join_askers = [&askers] {
    for (std::thread& one : askers) one.join();
  };
  if (!ends_early) join_askers();
  mailbox.fail(Fault{}, "over");
  mailbox.wishes.quit = true;
  mailbox.to_loop.ring();
  if (ends_early) join_askers();
  loop.join();
  shared.forget_driver();
  ask(shared);  // whoever calls now uses the engine himself
}

}  // namespace

int main(int count, char**) {
  for (int round = 0; round < kRounds; ++round) run_round(round % 2 != 0, count > 1);
  std::puts("done");
}
