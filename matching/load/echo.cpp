#include "echo.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/wire.hpp"
#include "frames.hpp"

namespace rialto {

namespace {

constexpr off_t kJournalBytes = 64 << 20;
constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::uint64_t kMostStripes = 1 << 18;
constexpr int kSocketBytes = 4 << 20;

// A preallocated file that is written round and round.
class Ring {
 public:
  Ring(const std::string& path, off_t size) : size_(size) {
    file_ = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file_ < 0) fail(path);
    const std::vector<std::uint8_t> zeros(1 << 20);  // written, not only reserved, as a segment is
    for (off_t at = 0; at < size_; at += static_cast<off_t>(zeros.size()))
      if (pwrite(file_, zeros.data(), zeros.size(), at) < 0) fail(path);
    if (::fsync(file_) != 0) fail(path);
  }
  ~Ring() { close(file_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  void write(const std::uint8_t* data, std::size_t size) {
    while (size != 0) {
      if (at_ == size_) at_ = 0;
      const auto part = std::min(size, static_cast<std::size_t>(size_ - at_));
      const ssize_t written = pwrite(file_, data, part, at_);
      if (written < 0) fail("pwrite");
      at_ += written;
      data += written;
      size -= static_cast<std::size_t>(written);
    }
  }

  void sync() {
    if (fdatasync(file_) != 0) fail("fdatasync");
  }

 private:
  int file_;
  off_t size_, at_ = 0;
};

// A file that grows.
class Growing {
 public:
  explicit Growing(const std::string& path)
      : file_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (file_ < 0) fail(path);
  }
  ~Growing() { close(file_); }
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;

  // Writes so many bytes; which ones does not matter.
  void write(std::size_t size) {
    if (content_.size() < size) content_.resize(size, 1);
    for (std::size_t at = 0; at < size;) {
      const ssize_t written = ::write(file_, &content_[at], size - at);
      if (written < 0) fail("write");
      at += static_cast<std::size_t>(written);
    }
  }

 private:
  int file_;
  std::vector<std::uint8_t> content_;
};

// Syncs in a thread of its own whatever was written, and says how far it is.
class Syncer {
 public:
  explicit Syncer(Ring& journal) : journal_(journal), thread_([this] { run(); }) {}
  ~Syncer() {
    {
      const std::lock_guard guard(lock_);
      stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
    close(wake_);
  }
  Syncer(const Syncer&) = delete;
  Syncer& operator=(const Syncer&) = delete;

  void wrote(std::uint64_t number) {
    {
      const std::lock_guard guard(lock_);
      written_ = number;
    }
    changed_.notify_one();
  }

  int wake() const { return wake_; }
  std::uint64_t synced() const { return synced_; }
  std::uint64_t syncs() const { return syncs_; }

 private:
  void run() {
    std::unique_lock guard(lock_);
    while (true) {
      changed_.wait(guard, [this] { return stop_ || written_ != synced_; });
      if (stop_) return;
      const std::uint64_t target = written_;
      guard.unlock();
      journal_.sync();
      ++syncs_;
      synced_ = target;
      eventfd_write(wake_, 1);
      guard.lock();
    }
  }

  Ring& journal_;
  std::mutex lock_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::uint64_t written_ = 0;
  std::atomic<std::uint64_t> synced_{0}, syncs_{0};
  int wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::thread thread_;  // last: it uses the others
};

class Echo {
 public:
  Echo(int connection, const std::string& folder)
      : connection_(connection),
        journal_(folder + "/journal", kJournalBytes),
        events_(folder + "/events"),
        in_(2 * kReadBytes) {}

  EchoCounts run(bool fsync) {
    if (fsync) syncer_ = std::make_unique<Syncer>(journal_);
    while (serve()) {
    }
    if (syncer_) counts.syncs = syncer_->syncs();
    return counts;
  }

  EchoCounts counts;

 private:
  struct Held {
    std::uint64_t group;
    std::size_t bytes;
  };

  bool serve() {
    pollfd wanted[2] = {{connection_, POLLIN, 0}, {syncer_ ? syncer_->wake() : -1, POLLIN, 0}};
    if (poll(wanted, 2, -1) < 0 && errno != EINTR) fail("poll");
    if (wanted[1].revents != 0) {
      eventfd_t ignored;
      eventfd_read(syncer_->wake(), &ignored);
      release();
    }
    if (wanted[0].revents == 0) return true;
    if (in_.size() - have_ < kReadBytes) in_.resize(in_.size() * 2);
    const ssize_t got = recv(connection_, &in_[have_], in_.size() - have_, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return false;
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) return true;
      fail("recv");
    }
    have_ += static_cast<std::size_t>(got);
    take_frames();
    return true;
  }

  void take_frames() {
    std::size_t at = 0;
    const std::size_t answered = out_.size();
    payload_.clear();
    FrameHeader header;
    while (have_ - at >= sizeof header) {
      std::memcpy(&header, &in_[at], sizeof header);
      if (have_ - at < sizeof header + header.bytes) break;
      answer(header, &in_[at + sizeof header]);
      at += sizeof header + header.bytes;
    }
    if (at != 0) std::memmove(in_.data(), &in_[at], have_ - at);
    have_ -= at;
    const std::size_t fresh = out_.size() - answered;
    if (fresh == 0) return;
    if (!payload_.empty()) journal_.write(payload_.data(), payload_.size());
    if (syncer_) {
      held_.push_back({++group_, fresh});
      syncer_->wrote(group_);
    } else {
      send_first(fresh);
    }
    events_.write(fresh);
  }

  void answer(const FrameHeader& asked, const std::uint8_t* payload) {
    FrameHeader header{0, kWelcomeFrame, kFrameProtocol, 0, asked.correlation};
    if (asked.kind == kCommandsFrame) {
      header.kind = kEventsFrame;
      counts.bytes_in += asked.bytes;
      payload_.insert(payload_.end(), payload, payload + asked.bytes);
    }
    const std::size_t start = out_.size();
    out_.resize(start + sizeof header);
    for (std::size_t at = 0; header.kind == kEventsFrame && at < asked.bytes; at += kStripe) {
      Command command;
      std::memcpy(&command, payload + at, sizeof command);
      ++counts.commands;
      if (command.sequence == 0 || command.sequence > kMostStripes) continue;
      const std::size_t group = out_.size();
      out_.resize(group + command.sequence * kStripe);
      out_[group + 10] = static_cast<std::uint8_t>(command.opcode == Opcode::kPlaceOrder
                                                       ? EventType::kOrderAccepted
                                                       : EventType::kCancelAccepted);
    }
    header.bytes = static_cast<std::uint32_t>(out_.size() - start - sizeof header);
    std::memcpy(&out_[start], &header, sizeof header);
    counts.bytes_out += header.bytes;
  }

  // Sends what the sync has reached.
  void release() {
    std::size_t bytes = 0;
    while (!held_.empty() && held_.front().group <= syncer_->synced()) {
      bytes += held_.front().bytes;
      held_.pop_front();
    }
    send_first(bytes);
  }

  void send_first(std::size_t bytes) {
    for (std::size_t at = 0; at < bytes;) {
      const ssize_t written = send(connection_, &out_[at], bytes - at, MSG_NOSIGNAL);
      if (written < 0 && (errno == EPIPE || errno == ECONNRESET)) break;  // serve() sees the end
      if (written < 0) fail("send");
      at += static_cast<std::size_t>(written);
    }
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(bytes));
  }

  int connection_;
  Ring journal_;
  Growing events_;
  std::unique_ptr<Syncer> syncer_;
  std::vector<std::uint8_t> in_, out_, payload_;
  std::deque<Held> held_;
  std::size_t have_ = 0;
  std::uint64_t group_ = 0;
};

int listen_at(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path)
    throw std::invalid_argument("the socket's path is too long");
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) fail("socket");
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 1) != 0)
    fail("listen");
  return listener;
}

}  // namespace

EchoCounts serve_echo(const std::string& socket_path, const std::string& folder, bool fsync) {
  const int listener = listen_at(socket_path);
  const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
  if (connection < 0) fail("accept");
  setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof kSocketBytes);
  setsockopt(connection, SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
  Echo echo(connection, folder);
  const EchoCounts counts = echo.run(fsync);
  close(connection);
  return counts;
}

}  // namespace rialto
