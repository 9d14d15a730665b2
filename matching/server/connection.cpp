#include "connection.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "threads.hpp"

namespace rialto::server {

namespace {

constexpr std::size_t kLeastFree = 4 << 10;
constexpr std::size_t kMostIn = sizeof(FrameHead) + kMaxFrame + (256 << 10);
constexpr std::size_t kKeepSent = 1 << 20;

}  // namespace

Connection::Read Connection::read_some() {
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  if (in_.size() - in_end_ < kLeastFree && in_begin_ != 0) {
    std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  if (in_.size() - in_end_ < kLeastFree) in_.resize(std::min(in_.size() * 2, kMostIn));
  const std::size_t room = in_.size() - in_end_;
  const ssize_t got = ::recv(fd(), in_.data() + in_end_, room, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? Read::kNothing : Read::kEnd;
  if (got == 0) return Read::kEnd;
  in_end_ += static_cast<std::size_t>(got);
  if (static_cast<std::size_t>(got) == room && in_.size() < kMostIn)
    in_.resize(std::min(in_.size() * 2, kMostIn));
  return Read::kSome;
}

std::optional<Frame> Connection::next_frame() const {
  Frame frame;
  if (in_end_ - in_begin_ < sizeof frame.head) return std::nullopt;
  std::memcpy(&frame.head, in_.data() + in_begin_, sizeof frame.head);
  if (frame.head.protocol != kProtocol)
    throw PeerError(FrameFault::kVersionMismatch,
                    "frame protocol " + std::to_string(frame.head.protocol));
  if (frame.head.payload_bytes > kMaxFrame)
    throw PeerError(FrameFault::kFrameTooLarge, std::to_string(frame.head.payload_bytes) +
                                                    " bytes, at most " + std::to_string(kMaxFrame));
  if (in_end_ - in_begin_ < sizeof frame.head + frame.head.payload_bytes) return std::nullopt;
  frame.payload = in_.data() + in_begin_ + sizeof frame.head;
  return frame;
}

void Connection::consume(const Frame& frame) {
  in_begin_ += sizeof frame.head + frame.head.payload_bytes;
}

void Connection::append(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  out_.insert(out_.end(), bytes, bytes + size);
}

void Connection::add_frame(const FrameHead& head, const void* payload) {
  append(&head, sizeof head);
  append(payload, head.payload_bytes);
  released_ = out_base_ + out_.size();
}

void Connection::add_answer(std::uint64_t correlation, std::span<const EventStripe> events,
                            std::uint64_t sequence, std::uint64_t frame_read_ns,
                            std::uint32_t commands) {
  const FrameHead head{static_cast<std::uint32_t>(events.size_bytes()), FrameKind::kEvents,
                       kProtocol, 0, correlation};
  append(&head, sizeof head);
  append(events.data(), events.size_bytes());
  waiting_.push_back({sequence, out_base_ + out_.size(), frame_read_ns, commands});
}

bool Connection::release(std::uint64_t acknowledged) {
  bool any = false;
  while (!waiting_.empty() && waiting_.front().sequence <= acknowledged) {
    const Mark& mark = waiting_.front();
    in_flight -= mark.commands;
    released_ = mark.end;
    leaving_.push_back(mark);
    waiting_.pop_front();
    any = true;
  }
  return any;
}

void Connection::drop_waiting() {
  waiting_.clear();
  out_.resize(released_ - out_base_);
}

bool Connection::flush(Histogram& times) {
  blocked = false;
  while (sent_ < released_) {
    const ssize_t done = ::send(fd(), out_.data() + (sent_ - out_base_), released_ - sent_,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EAGAIN) {
      blocked = true;
      break;
    }
    if (done < 0) return false;
    sent_ += static_cast<std::uint64_t>(done);
  }
  if (!leaving_.empty() && leaving_.front().end <= sent_) {
    const std::uint64_t now = monotonic_ns();
    while (!leaving_.empty() && leaving_.front().end <= sent_) {
      times.add(now - leaving_.front().read_ns);
      leaving_.pop_front();
    }
  }
  const std::uint64_t all = out_base_ + out_.size();
  if (sent_ == all || sent_ - out_base_ > kKeepSent) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_ - out_base_));
    out_base_ = sent_;
  }
  return true;
}

}  // namespace rialto::server
