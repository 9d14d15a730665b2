#include "client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace rialto {

namespace {

constexpr unsigned kMostInFrame = 1'000;
constexpr std::size_t kSocketBytes = 4 << 20, kReadBytes = 1 << 20;
constexpr std::uint64_t kPatienceNs = 20'000'000'000, kSecondNs = 1'000'000'000;
constexpr std::uint64_t kLeadNs = 1'000'000;  // the first command is due a millisecond from now

EventType type_of_stripe(const std::uint8_t* stripe) { return static_cast<EventType>(stripe[10]); }

}  // namespace

LoadClient::LoadClient(const std::string& socket_path, const std::string& hello, Flow flow,
                       bool announce)
    : announce_(announce), flow_(std::move(flow)), in_(2 * kReadBytes) {
  prctl(PR_SET_TIMERSLACK, 1);  // a sleep of 5 us must not become one of 55
  connect_to(socket_path, hello);
}

LoadClient::~LoadClient() { close(socket_); }

void LoadClient::connect_to(const std::string& socket_path, const std::string& hello) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path)
    throw std::invalid_argument("the socket's path is too long");
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) fail("socket");
  const int size = kSocketBytes;
  setsockopt(socket_, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("connect");
  if (write(socket_, hello.data(), hello.size()) != static_cast<ssize_t>(hello.size()))
    fail("hello");
  FrameHeader header{};
  if (recv(socket_, &header, sizeof header, MSG_WAITALL) != sizeof header) fail("no welcome");
  std::string text(header.bytes, '\0');
  if (header.bytes != 0 &&
      recv(socket_, text.data(), text.size(), MSG_WAITALL) != static_cast<ssize_t>(text.size()))
    fail("no welcome");
  if (header.kind != kWelcomeFrame) throw std::runtime_error("the door refuses: " + text);
  fcntl(socket_, F_SETFL, O_NONBLOCK);
}

void LoadClient::open_book() {
  progress_ns_ = now_ns();
  const std::uint64_t quotes = flow_.opening_quotes();
  if (flow_.commands() < quotes)
    window_loop(~std::uint64_t{0}, quotes - flow_.commands(), 4'000, 500);
}

void LoadClient::begin_measuring() {
  measuring_ = true;
  last_run.forget();
  queued_before_ns_ = meter_.read().queued_ns;
}

void LoadClient::end_measuring(std::uint64_t start_ns) {
  measuring_ = false;
  queued_ns += meter_.read().queued_ns - queued_before_ns_;
  busy_seconds += static_cast<double>(last_answer_ns_ - start_ns) * 1e-9;
}

void LoadClient::run_open(double rate, double seconds) {
  begin_measuring();
  const auto total = static_cast<std::uint64_t>(rate * seconds);
  const double step = 1e9 / rate;
  const std::uint64_t start = now_ns() + kLeadNs, goal = acknowledged + total;
  std::uint64_t queued = 0;
  progress_ns_ = start;
  while (acknowledged < goal) {
    const std::uint64_t now = now_ns();
    const auto due =
        now < start
            ? 0
            : std::min(total,
                       static_cast<std::uint64_t>(static_cast<double>(now - start) / step) + 1);
    while (queued < due) {
      const auto count =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(due - queued, kMostInFrame));
      queue_frame(count, static_cast<double>(start) + static_cast<double>(queued) * step, step);
      queued += count;
    }
    flush();
    if (receive()) continue;
    expect_progress();
    wait_until(queued < total
                   ? start + static_cast<std::uint64_t>(static_cast<double>(queued) * step)
                   : now + kSecondNs);
  }
  end_measuring(start);
}

void LoadClient::run_window(double seconds, unsigned window, unsigned frame) {
  begin_measuring();
  const std::uint64_t start = progress_ns_ = now_ns();
  window_loop(start + static_cast<std::uint64_t>(seconds * 1e9), ~std::uint64_t{0}, window, frame);
  end_measuring(start);
}

// Sends until `end_ns` or until `most` commands are sent, then waits for what is in flight.
void LoadClient::window_loop(std::uint64_t end_ns, std::uint64_t most, unsigned window,
                             unsigned frame) {
  std::uint64_t left = most;
  bool ended = false;
  while (!ended || !waiting_.empty()) {
    ended = ended || left == 0 || now_ns() >= end_ns;
    while (!ended && left != 0 && waiting_.size() + frame <= window) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, frame));
      queue_frame(count, static_cast<double>(now_ns()), 0);
      left -= count;
    }
    flush();
    if (receive() || waiting_.empty()) continue;
    expect_progress();
    wait_until(now_ns() + kSecondNs);
  }
}

void LoadClient::queue_frame(std::uint32_t count, double first_due_ns, double step_ns) {
  const FrameHeader header{count * kStripe, kCommandsFrame, kFrameProtocol, 0, ++correlation_};
  std::size_t at = out_.size();
  out_.resize(at + sizeof header + header.bytes);
  std::memcpy(&out_[at], &header, sizeof header);
  at += sizeof header;
  for (std::uint32_t i = 0; i < count; ++i, at += kStripe) {
    Command command;
    const Answer answer = flow_.next(command);
    if (announce_) command.sequence = answer.stripes;
    std::memcpy(&out_[at], &command, sizeof command);
    waiting_.push_back({static_cast<std::uint64_t>(first_due_ns + i * step_ns), answer});
  }
  sent_frames_.push_back({correlation_, count});
  sent += count;
  ++frames;
}

void LoadClient::flush() {
  while (out_at_ < out_.size()) {
    const ssize_t written = send(socket_, &out_[out_at_], out_.size() - out_at_, MSG_NOSIGNAL);
    if (written < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      fail("the engine takes no more");
    }
    out_at_ += static_cast<std::size_t>(written);
    bytes_out += static_cast<std::uint64_t>(written);
  }
  out_.clear();
  out_at_ = 0;
}

// Reads once and takes the frames that are whole; whether there was anything.
bool LoadClient::receive() {
  if (in_.size() - in_have_ < kReadBytes) in_.resize(in_.size() * 2);
  const ssize_t got = recv(socket_, &in_[in_have_], in_.size() - in_have_, 0);
  if (got == 0) throw std::runtime_error("the engine closed the connection");
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    fail("recv");
  }
  const std::uint64_t now = progress_ns_ = now_ns();
  bytes_in += static_cast<std::uint64_t>(got);
  in_have_ += static_cast<std::size_t>(got);
  std::size_t at = 0;
  FrameHeader header;
  while (in_have_ - at >= sizeof header) {
    std::memcpy(&header, &in_[at], sizeof header);
    if (in_have_ - at < sizeof header + header.bytes) break;
    take(header, &in_[at + sizeof header], now);
    at += sizeof header + header.bytes;
  }
  if (at != 0) std::memmove(in_.data(), &in_[at], in_have_ - at);
  in_have_ -= at;
  return true;
}

void LoadClient::take(const FrameHeader& header, const std::uint8_t* payload, std::uint64_t at_ns) {
  if (header.kind != kEventsFrame)
    throw std::runtime_error("the engine ends the connection: " +
                             std::string(reinterpret_cast<const char*>(payload), header.bytes));
  if (sent_frames_.empty() || sent_frames_.front().correlation != header.correlation)
    throw std::runtime_error("an answer out of turn");
  const std::uint32_t commands = sent_frames_.front().commands;
  sent_frames_.pop_front();
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < commands; ++i) {
    const Waiting waiting = waiting_.front();
    waiting_.pop_front();
    const std::size_t size = std::size_t{waiting.answer.stripes} * kStripe;
    const std::uint8_t* group = payload + at;
    if (at + size > header.bytes || type_of_stripe(group) != waiting.answer.outcome)
      refuse(at < header.bytes ? group : nullptr, waiting.answer);
    at += size;
    if (!measuring_) continue;
    const std::uint64_t ns = at_ns > waiting.due_ns ? at_ns - waiting.due_ns : 0;
    latency.add(ns);
    last_run.add(ns);
  }
  if (at != header.bytes) throw std::runtime_error("an answer is longer than the book says");
  acknowledged += commands;
  if (measuring_) measured += commands;
  last_answer_ns_ = at_ns;
}

void LoadClient::refuse(const std::uint8_t* group, const Answer& wanted) const {
  std::string text = "command " + std::to_string(acknowledged + 1) + " or one soon after: event " +
                     std::to_string(static_cast<int>(wanted.outcome)) + " was expected";
  if (group != nullptr) {
    text += ", event " + std::to_string(group[10]) + " came";
    if (type_of_stripe(group) == EventType::kCommandRejected)
      text += " with reason " + std::to_string(group[14] | group[15] << 8);
  }
  throw std::runtime_error(text);
}

// Sleeps until something can be read (or written, if something waits to be) or a command is due.
void LoadClient::wait_until(std::uint64_t due_ns) {
  const std::uint64_t now = now_ns();
  if (due_ns <= now) return;
  pollfd wanted{socket_, static_cast<short>(out_at_ < out_.size() ? POLLIN | POLLOUT : POLLIN), 0};
  const std::uint64_t left = std::min(due_ns - now, kSecondNs);
  const timespec pause{static_cast<time_t>(left / kSecondNs), static_cast<long>(left % kSecondNs)};
  ppoll(&wanted, 1, &pause, nullptr);
}

void LoadClient::expect_progress() {
  const std::uint64_t now = now_ns();
  if (now > progress_ns_ && now - progress_ns_ > kPatienceNs)
    throw std::runtime_error(std::to_string(waiting_.size()) +
                             " acknowledgements are missing after 20 seconds of silence");
}

}  // namespace rialto
