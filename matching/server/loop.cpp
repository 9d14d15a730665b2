#include "loop.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "failpoint.hpp"

namespace rialto::server {

namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kTickNs = 100 * kMillisecond;       // without another record
constexpr std::uint64_t kBusyTickNs = 1000 * kMillisecond;  // however many there are
constexpr std::uint64_t kAcceptRestNs = 1000 * kMillisecond;
constexpr int kEventsPerWait = 64;
constexpr std::uint64_t kKeepWithinNs = kMillisecond;
constexpr std::size_t kKeepAtOnce = 64 << 10, kMostBehind = 4 << 20;
constexpr int kSendBytes = 4 << 20;  // or as much as the system permits; only what waits takes memory
constexpr std::uint16_t kForbiddenOpcode = 2;  // domain.errors.RejectReason

constexpr const char* kFaultNames[] = {"",
                                       "BAD_FRAME",
                                       "FRAME_TOO_LARGE",
                                       "VERSION_MISMATCH",
                                       "BAD_TOKEN",
                                       "MALFORMED_COMMANDS",
                                       "SLOW_READER",
                                       "STOPPING",
                                       "HANDSHAKE_TIMEOUT"};

// What an epoll event is about: a connection's address, or one of these.
constexpr std::uint64_t kBellTag = 1, kListenerTag = 2;  // a listener's index lies above the tag

// In constant time for tokens of the right length.
bool same_token(const std::string& wanted, const std::uint8_t* given, std::size_t size) {
  if (wanted.empty() || wanted.size() != size) return false;
  unsigned difference = 0;
  for (std::size_t at = 0; at < size; ++at)
    difference |= static_cast<unsigned>(static_cast<std::uint8_t>(wanted[at]) ^ given[at]);
  return difference == 0;
}

EventStripe refusal(const Command& command) {
  EventStripe stripe{};
  stripe.head = event_head(0, EventType::kCommandRejected, 0, 0, kForbiddenOpcode);
  stripe.body[1] = command.account_id;
  stripe.body[2] = command.key_low;
  stripe.body[3] = command.key_high;
  stripe.body[4] = static_cast<std::uint64_t>(command.opcode);
  return stripe;
}

}  // namespace

Loop::Loop(LoopOptions options, Sequencer& sequencer, Journal& journal, EventLog& events,
           Mailbox& mailbox, LoopTimes& times)
    : options_(std::move(options)),
      sequencer_(sequencer),
      journal_(journal),
      events_log_(events),
      mailbox_(mailbox),
      times_(times),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      last_write_ns_(monotonic_ns()),
      last_tick_ns_(last_write_ns_) {
  if (!epoll_) throw FileError("epoll", errno);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kBellTag}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, mailbox_.to_loop.fd(), &event);
}

std::uint64_t Loop::acknowledged() const {
  return options_.ack_policy == AckPolicy::kOs ? journal_.written_sequence()
                                               : journal_.durable_sequence();
}

void Loop::begin() {
  if (options_.hurry) times_.priority = hurry_this_thread(Rank::kAnswers);
  meter_.emplace();
}

// ---- waiting --------------------------------------------------------------------------------

void Loop::wait() {
  epoll_event ready[kEventsPerWait];
  const bool busy = !mailbox_.failed() && (!queue_.empty() || !submitted_.empty());
  const std::uint64_t before = monotonic_ns();
  int timeout = busy ? 0 : timeout_ms(before);
  if (before - last_work_ns_ < options_.limits.busy_poll_ns) timeout = 0;
  if (events_log_.behind() != 0) timeout = 0;
  const int count = ::epoll_wait(epoll_.get(), ready, kEventsPerWait, timeout);
  const std::uint64_t now = lap_ns_ = monotonic_ns();
  nothing_waits_ = count <= 0 && !busy;
  if (!nothing_waits_) last_work_ns_ = now;
  for (int at = 0; at < count; ++at) {
    const std::uint64_t about = ready[at].data.u64;
    if (about == kBellTag)
      look_at_mail();
    else if ((about & 7) == kListenerTag)
      accept_all(about >> 3);
    else
      serve(*reinterpret_cast<Connection*>(about), ready[at].events);
  }
  enforce_deadlines(now);
  bury();
  lap(Work::kReceive);
}

int Loop::timeout_ms(std::uint64_t now) const {
  std::uint64_t due = now + 1000 * kMillisecond;
  if (!draining_ && !mailbox_.failed()) due = std::min(due, last_write_ns_ + kTickNs);
  if (accept_again_ns_ != 0) due = std::min(due, accept_again_ns_);
  for (const auto& connection : connections_)
    if (connection->deadline_ns != 0) due = std::min(due, connection->deadline_ns);
  return due <= now ? 0 : static_cast<int>((due - now + kMillisecond - 1) / kMillisecond);
}

void Loop::enforce_deadlines(std::uint64_t now) {
  for (const auto& connection : connections_) {
    if (connection->deadline_ns == 0 || connection->deadline_ns > now) continue;
    if (connection->state == Connection::State::kGreeting)
      end(*connection, FrameFault::kHandshakeTimeout, "no HELLO");
    else
      lose(*connection);
  }
  if (accept_again_ns_ != 0 && accept_again_ns_ <= now) {
    accept_again_ns_ = 0;
    for (std::size_t at = 0; at < listeners_.size(); ++at) watch_listener(at, EPOLL_CTL_ADD);
  }
}

void Loop::look_at_mail() {
  mailbox_.to_loop.quiet();
  for (const int fd : mailbox_.take_listeners()) {
    listeners_.emplace_back(fd);
    if (accept_again_ns_ == 0) watch_listener(listeners_.size() - 1, EPOLL_CTL_ADD);
  }
  for (Submitted& submitted : mailbox_.take_submitted()) submitted_.push_back(std::move(submitted));
  const Wishes& wishes = mailbox_.wishes;
  if (wishes.stop_reading && !stopped_reading_) stop_reading();
  if (wishes.drain) draining_ = true;
  if (wishes.close && !closed_) close_all();
  if (wishes.quit) quitting_ = true;
  lap(Work::kReceive);
  if (sequencer_.is_asked()) {
    const ThreadUsage usage = meter_->read();  // first: who has the answer looks at these next
    times_.queued_ns = usage.queued_ns;
    times_.pushed_aside = usage.pushed_aside;
    times_.page_faults = usage.page_faults;
    sequencer_.answer_questions();
    lap(Work::kQuestions);
  }
}

// ---- connections ----------------------------------------------------------------------------

void Loop::watch_listener(std::size_t at, int how) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = at << 3 | kListenerTag}};
  ::epoll_ctl(epoll_.get(), how, listeners_[at].get(), &event);
}

void Loop::accept_all(std::size_t listener) {
  while (!stopped_reading_ && accept_again_ns_ == 0) {
    Descriptor socket(
        ::accept4(listeners_[listener].get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      accept_again_ns_ = monotonic_ns() + kAcceptRestNs;  // out of descriptors or memory
      for (std::size_t at = 0; at < listeners_.size(); ++at) watch_listener(at, EPOLL_CTL_DEL);
      return;
    }
    const int yes = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);  // no error elsewhere
    // A sweep through thousands of orders leaves at once: what follows does not wait for its reader.
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kSendBytes, sizeof kSendBytes);
    auto& connection = *connections_.emplace_back(std::make_unique<Connection>(
        std::move(socket), monotonic_ns() + options_.limits.handshake_ns));
    mailbox_.connections = static_cast<std::uint32_t>(connections_.size());
    if (!has_room())
      end(connection, FrameFault::kStopping, "too many connections");
    else
      watch(connection);
  }
}

// Whether the connections are not too many; silent ones may have to go for it.
bool Loop::has_room() {
  const Limits& limits = options_.limits;
  if (connections_.size() <= limits.max_connections) return true;
  const std::uint64_t spared = limits.handshake_ns - limits.hurried_handshake_ns;
  const std::uint64_t now = monotonic_ns();
  std::size_t open = 0;
  for (const auto& connection : connections_) {
    using State = Connection::State;
    if (connection->state == State::kGreeting && connection->deadline_ns <= now + spared)
      end(*connection, FrameFault::kHandshakeTimeout, "no HELLO, and others wait");
    open += connection->state != State::kDead && connection->state != State::kClosing;
  }
  return open <= limits.max_connections;
}

// Tells epoll what this connection waits for.
void Loop::watch(Connection& connection) {
  using State = Connection::State;
  std::uint32_t wanted = 0;
  const bool reads = connection.state == State::kGreeting || connection.state == State::kOpen;
  if (reads && !connection.paused && !connection.queued && !stopped_reading_) wanted |= EPOLLIN;
  if (connection.blocked) wanted |= EPOLLOUT;
  if (connection.state == State::kDead) wanted = 0;
  if (wanted == connection.watched) return;
  epoll_event event{.events = wanted, .data = {.ptr = &connection}};
  const int how = connection.watched == 0 ? EPOLL_CTL_ADD
                  : wanted == 0           ? EPOLL_CTL_DEL
                                          : EPOLL_CTL_MOD;
  ::epoll_ctl(epoll_.get(), how, connection.fd(), &event);
  connection.watched = wanted;
}

void Loop::serve(Connection& connection, std::uint32_t ready) {
  if (connection.state == Connection::State::kDead) return;
  if ((ready & (EPOLLOUT | EPOLLERR)) != 0 && connection.blocked) touch(connection);
  if ((ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || (connection.watched & EPOLLIN) == 0) return;
  if (connection.queued) {  // what was read comes first
    watch(connection);
    return;
  }
  switch (connection.read_some()) {
    case Connection::Read::kSome:
      connection.read_ns = monotonic_ns();
      queue(connection);
      break;
    case Connection::Read::kNothing:
      break;
    case Connection::Read::kEnd:
      lose(connection);
      break;
  }
}

void Loop::queue(Connection& connection) {
  if (connection.queued) return;
  connection.queued = true;
  queue_.push_back(&connection);
}

void Loop::touch(Connection& connection) {
  if (connection.touched) return;
  connection.touched = true;
  touched_.push_back(&connection);
}

// Says why, and closes.
void Loop::end(Connection& connection, FrameFault fault, const std::string& text) {
  using State = Connection::State;
  if (connection.state == State::kDead || connection.state == State::kClosing) return;
  const auto number = static_cast<std::uint16_t>(fault);
  const std::string named =
      fault == FrameFault::kStopping ? text : std::string(kFaultNames[number]) + ": " + text;
  if (fault != FrameFault::kStopping) mailbox_.note_closed(number, text);
  connection.drop_waiting();
  const FrameHead head{static_cast<std::uint32_t>(std::min(named.size(), kMaxErrorText)),
                       FrameKind::kError, kProtocol, number, 0};
  connection.add_frame(head, named.data());
  connection.state = State::kClosing;
  connection.deadline_ns = monotonic_ns() + options_.limits.handshake_ns;
  if (!connection.flush(times_.service) || !connection.blocked || fault == FrameFault::kSlowReader)
    lose(connection);
  else
    watch(connection);
}

// The peer is gone, or is to be: what it sent stays sent.
void Loop::lose(Connection& connection) {
  connection.state = Connection::State::kDead;
  connection.blocked = false;
  connection.deadline_ns = 0;
  watch(connection);
}

// Forgets the dead, once nothing in the loop points at them.
void Loop::bury() {
  const auto gone = [](const std::unique_ptr<Connection>& connection) {
    return connection->state == Connection::State::kDead && !connection->queued &&
           !connection->touched;
  };
  if (std::erase_if(connections_, gone) != 0)
    mailbox_.connections = static_cast<std::uint32_t>(connections_.size());
}

// ---- from frames to a group -----------------------------------------------------------------

bool Loop::group_is_full() const { return group_.commands() >= options_.limits.commands_per_group; }

// Whether time has to pass before anything else does: marks age and sides stay empty under load, too.
bool Loop::overdue_tick(std::uint64_t now) const {
  return !draining_ && now - last_tick_ns_ >= kBusyTickNs;
}

bool Loop::due_tick(std::uint64_t now) const {
  return !draining_ && jobs_.empty() && now - last_write_ns_ >= kTickNs;
}

void Loop::add_tick(std::uint64_t now) {
  Command tick{};
  tick.opcode = Opcode::kTick;
  tick.version = kCommandVersion;
  tick.stripes = 1;
  group_.add(reinterpret_cast<const std::uint8_t*>(&tick), sizeof tick);
  last_tick_ns_ = now;
}

// Makes a group of what was read and runs it; returns whether anything was written.
bool Loop::run_group() {
  jobs_.clear();
  group_.clear();
  std::uint64_t now = monotonic_ns();
  if (overdue_tick(now)) {
    add_tick(now);  // a group of its own: what waits is in the next
  } else {
    take_jobs();
    now = monotonic_ns();
    if (due_tick(now)) add_tick(now);
  }
  if (group_.commands() == 0) {
    events_ = {};
    answer_group();
    return false;
  }
  sequencer_.write(group_);
  lap(Work::kJournal);
  events_ = sequencer_.apply(group_);
  lap(Work::kApply);
  last_write_ns_ = lap_ns_;
  return true;
}

void Loop::take_jobs() {
  take_submitted();
  for (std::size_t left = queue_.size(); left != 0 && !group_is_full(); --left) {
    Connection& connection = *queue_.front();
    queue_.pop_front();
    connection.queued = false;
    take_frames(connection);
  }
}

void Loop::take_submitted() {
  while (!submitted_.empty() && !group_is_full()) {
    const Submitted& next = submitted_.front();
    if (!group_.fits(next.commands.size()) && group_.commands() != 0) return;
    take_commands({nullptr, next.ticket, 0, 0, 0, {}, {}}, next.role,
                  reinterpret_cast<const std::uint8_t*>(next.commands.data()),
                  next.commands.size());
    submitted_.pop_front();
  }
}

void Loop::take_frames(Connection& connection) try {
  using State = Connection::State;
  while (connection.state != State::kClosing && !connection.paused) {
    const std::optional<Frame> frame = connection.next_frame();
    if (!frame || (connection.role == 0 && connection.state == State::kDead)) break;
    if (connection.role == 0) {
      greet(connection, *frame);
    } else if (frame->head.kind != FrameKind::kCommands) {
      throw PeerError(
          FrameFault::kBadFrame,
          "kind " + std::to_string(static_cast<int>(frame->head.kind)) + " is not expected");
    } else {
      if (group_is_full() || !group_.fits(frame->head.payload_bytes)) {
        queue(connection);
        break;
      }
      take_commands({&connection, frame->head.correlation, connection.read_ns, 0, 0, {}, {}},
                    connection.role, frame->payload, frame->head.payload_bytes);
    }
    connection.consume(*frame);
  }
  watch(connection);
} catch (const PeerError& error) {
  end(connection, error.fault, error.what());
} catch (const WireError& error) {
  end(connection, FrameFault::kMalformedCommands, error.what());
}

void Loop::take_commands(Job job, int role, const std::uint8_t* data, std::size_t size) {
  const std::size_t before = group_.bytes();
  const std::uint32_t commands_before = group_.commands();
  job.commands = job.kept = group_.add(data, size);
  const std::bitset<256>& allowed = options_.roles[static_cast<std::size_t>(role)].opcodes;
  std::size_t kept_end = before, offset = before;
  for (std::uint32_t at = 0; at < job.commands; ++at) {
    const Command& command = group_.at(offset);
    const std::size_t length = command.stripes * kStripe;
    if (allowed[static_cast<std::uint8_t>(command.opcode)]) {
      if (kept_end != offset) std::memmove(&group_.at(kept_end), &command, length);
      kept_end += length;
    } else {
      job.refused.resize(job.commands);
      job.refused[at] = true;
      job.refusals.push_back(refusal(command));
      --job.kept;
    }
    offset += length;
  }
  group_.cut(kept_end, commands_before + job.kept);
  if (Connection* connection = job.connection) {
    connection->in_flight += job.commands;
    if (connection->in_flight > options_.limits.max_in_flight && !stopped_reading_)
      connection->paused = true;
  }
  jobs_.push_back(std::move(job));
}

void Loop::greet(Connection& connection, const Frame& frame) {
  if (frame.head.kind != FrameKind::kHello)
    throw PeerError(FrameFault::kBadFrame, "the first frame must be HELLO");
  HelloBody hello;
  const std::size_t size = frame.head.payload_bytes;
  if (size < sizeof hello || size > sizeof hello + kMaxToken)
    throw PeerError(FrameFault::kBadFrame, "HELLO of a wrong length");
  std::memcpy(&hello, frame.payload, sizeof hello);
  if (hello.protocol != kProtocol || hello.schema != options_.schema)
    throw PeerError(FrameFault::kVersionMismatch,
                    "client has protocol " + std::to_string(hello.protocol) + " schema " +
                        std::to_string(hello.schema) + ", engine " + std::to_string(kProtocol) +
                        " and " + std::to_string(options_.schema));
  const std::size_t role = hello.role;
  if (role >= kRoles ||
      !same_token(options_.roles[role].token, frame.payload + sizeof hello, size - sizeof hello))
    throw PeerError(FrameFault::kBadToken, "role and token do not belong together");
  connection.role = hello.role;
  connection.state = Connection::State::kOpen;
  connection.deadline_ns = 0;
  const WelcomeBody welcome{kProtocol,        options_.schema,       options_.shard,
                            journal_.epoch(), sequencer_.sequence(), options_.build_id};
  connection.add_frame({sizeof welcome, FrameKind::kWelcome, kProtocol, 0, 0}, &welcome);
  touch(connection);
}

// ---- answers --------------------------------------------------------------------------------

// Gives each job its share of the group's events, then adds them to what readers get.
void Loop::answer_group() {
  std::uint64_t sequence = sequencer_.sequence() - group_.commands();
  std::size_t begin = 0;
  for (Job& job : jobs_) {
    const std::uint64_t last = sequence + job.kept;
    std::size_t end = begin;
    while (end < events_.size() && events_[end].sequence <= last) ++end;
    answer(job, events_.subspan(begin, end - begin), job.kept == 0 ? 0 : last);
    sequence = last;
    begin = end;
  }
  if (options_.ack_policy == AckPolicy::kOs) release();
  lap(Work::kAnswer);
  if (group_.commands() != 0) {
    if (events_log_.behind() == 0) behind_since_ns_ = lap_ns_;
    sequencer_.add_events();
    lap(Work::kEvents);
  }
}

// Writes events when no command waits for it, and anyhow before they are late or many.
void Loop::keep_events() {
  const std::size_t behind = events_log_.behind();
  if (behind == 0) return;
  const bool late = behind >= kMostBehind || lap_ns_ - behind_since_ns_ >= kKeepWithinNs;
  if (!nothing_waits_ && !late) return;
  events_log_.write(late ? behind : kKeepAtOnce);
  mailbox_.readable(std::min(journal_.durable_sequence(), events_log_.last_sequence()));
  lap(Work::kEvents);
}

void Loop::answer(Job& job, std::span<const EventStripe> events, std::uint64_t sequence) {
  if (!job.refusals.empty()) {  // put the refusals among the groups, in the order of the commands
    merged_.clear();
    std::size_t at = 0, refusals = 0;
    for (const bool refused : job.refused) {
      if (refused) {
        merged_.push_back(job.refusals[refusals++]);
        continue;
      }
      const std::uint64_t of = events[at].sequence;
      while (at < events.size() && events[at].sequence == of) merged_.push_back(events[at++]);
    }
    events = merged_;
  }
  if (job.connection == nullptr) {
    waiting_answers_.push_back(
        {sequence,
         {job.id, std::string(reinterpret_cast<const char*>(events.data()), events.size_bytes())}});
  } else if (job.connection->state == Connection::State::kOpen) {
    job.connection->add_answer(job.id, events, sequence, job.read_ns, job.commands);
    touch(*job.connection);
  }
}

// Lets go what is acknowledged; what is not stays touched and is looked at in the next round.
void Loop::release() {
  if (mailbox_.failed()) return;
  const std::uint64_t now_acknowledged = acknowledged();
  std::vector<Answered> answers;
  while (!waiting_answers_.empty() && waiting_answers_.front().sequence <= now_acknowledged) {
    hit("before_ack");
    answers.push_back(std::move(waiting_answers_.front().answer));
    waiting_answers_.pop_front();
  }
  if (!answers.empty()) mailbox_.answer(std::move(answers));
  std::size_t kept = 0;
  for (std::size_t at = 0; at < touched_.size(); ++at) {
    Connection& connection = *touched_[at];
    if (connection.release(now_acknowledged)) hit("before_ack");
    connection.touched = connection.waiting() && connection.state == Connection::State::kOpen;
    if (connection.touched) touched_[kept++] = &connection;
    send(connection);
  }
  touched_.resize(kept);
}

void Loop::send(Connection& connection) {
  using State = Connection::State;
  if (connection.state == State::kDead) return;
  const bool there = connection.flush(times_.service);
  if (!there || (connection.state == State::kClosing && !connection.blocked)) {
    lose(connection);
    return;
  }
  if (connection.unsent() > options_.limits.max_unsent_bytes) {
    end(connection, FrameFault::kSlowReader, "answers are not read");
    return;
  }
  if (connection.paused && connection.in_flight < options_.limits.max_in_flight / 2) {
    connection.paused = false;
    queue(connection);
  }
  watch(connection);
}

// ---- the end --------------------------------------------------------------------------------

// Takes no more connections and no more bytes; whole frames that were read are carried out.
void Loop::stop_reading() {
  stopped_reading_ = true;
  listeners_.clear();
  for (const auto& connection : connections_) {
    if (connection->paused) queue(*connection);
    connection->paused = false;
    watch(*connection);
  }
}

// Says so when all that was taken is carried out, durable and answered.
void Loop::drain() {
  if (!draining_ || mailbox_.drained || !queue_.empty() || !submitted_.empty() ||
      journal_.durable_sequence() < sequencer_.sequence() || !waiting_answers_.empty() ||
      events_log_.behind() != 0)
    return;
  mailbox_.drained = true;
  mailbox_.to_python.ring();
}

void Loop::close_all() {
  closed_ = true;
  for (const auto& connection : connections_)
    end(*connection, FrameFault::kStopping, "the engine stops");
  mailbox_.closed = true;
  mailbox_.to_python.ring();
}

void Loop::finish() {
  try {
    if (!mailbox_.failed()) events_log_.write(events_log_.behind());
  } catch (const EngineFault& error) {
    mailbox_.fail(error.fault, error.what());
  }
  queue_.clear();
  touched_.clear();
  connections_.clear();
  listeners_.clear();
  mailbox_.connections = 0;
  sequencer_.let_go();
}

}  // namespace rialto::server
