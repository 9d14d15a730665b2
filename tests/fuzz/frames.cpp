// The binary door's connection under a hostile client: one fuzz input is what the client sends,
// behind eight bytes that say how the stream is cut into reads. The frames that come out, and the
// fault that ends the connection, must be those of a reader that has the whole stream at once;
// answers must come back whole and in order, however they are let go.
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "connection.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace rialto::server::fuzz {

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kCuts = 8;

void hold(bool fine, const char* rule) {
  if (fine) return;
  std::fprintf(stderr, "broken rule: %s\n", rule);
  std::abort();
}

struct Expected {
  std::vector<std::pair<FrameHead, const std::uint8_t*>> frames;
  bool faulty = false;
  FrameFault fault{};
};

// The plain reading of the protocol.
Expected expected_of(const std::uint8_t* data, std::size_t size) {
  Expected expected;
  for (std::size_t at = 0; size - at >= sizeof(FrameHead);) {
    FrameHead head;
    std::memcpy(&head, data + at, sizeof head);
    if (head.protocol != kProtocol || head.payload_bytes > kMaxFrame) {
      expected.faulty = true;
      expected.fault =
          head.protocol != kProtocol ? FrameFault::kVersionMismatch : FrameFault::kFrameTooLarge;
      break;
    }
    if (size - at - sizeof head < head.payload_bytes) break;
    expected.frames.emplace_back(head, data + at + sizeof head);
    at += sizeof head + head.payload_bytes;
  }
  return expected;
}

// Answers every frame with a stripe that carries its number; lets them go now and then.
class Answers {
 public:
  Answers(Connection& connection, int peer) : connection_(connection), peer_(peer) {}

  void add(std::uint64_t correlation) {
    EventStripe stripe{};
    stripe.sequence = ++sequence_;
    connection_.add_answer(correlation, {&stripe, 1}, sequence_, 0, 0);
    correlations_.push_back(correlation);
    if (sequence_ % 3 == 0) let_go();
  }

  void let_go() {
    connection_.release(sequence_);
    hold(connection_.flush(times_), "the peer is there");
    Bytes room(1 << 16);
    for (ssize_t got; (got = ::recv(peer_, room.data(), room.size(), MSG_DONTWAIT)) > 0;)
      came_.insert(came_.end(), room.begin(), room.begin() + got);
  }

  void check() {
    let_go();
    hold(connection_.unsent() == 0 && !connection_.waiting(), "all answers have left");
    hold(came_.size() == correlations_.size() * kAnswer, "one answer a frame");
    for (std::size_t at = 0; at < correlations_.size(); ++at) {
      FrameHead head;
      std::memcpy(&head, &came_[at * kAnswer], sizeof head);
      hold(head.kind == FrameKind::kEvents && head.payload_bytes == sizeof(EventStripe) &&
               head.correlation == correlations_[at],
           "answers come in the order of their frames");
    }
  }

 private:
  static constexpr std::size_t kAnswer = sizeof(FrameHead) + sizeof(EventStripe);

  Connection& connection_;
  int peer_;
  Histogram times_;
  std::uint64_t sequence_ = 0;
  std::vector<std::uint64_t> correlations_;
  Bytes came_;
};

void run(const std::uint8_t* data, std::size_t size) {
  if (size < kCuts) return;
  const std::uint8_t* cuts = data;
  data += kCuts;
  size -= kCuts;
  const Expected expected = expected_of(data, size);
  int ends[2];
  hold(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "a pair of sockets");
  Connection connection(Descriptor(ends[0]), 0);
  const Descriptor peer(ends[1]);
  Answers answers(connection, peer.get());
  std::size_t frames = 0, turn = 0;
  bool ended = false;
  for (std::size_t at = 0; at < size && !ended; ++turn) {
    const std::size_t cut = std::min<std::size_t>(size - at, 1 + cuts[turn % kCuts] * 37u % 4'099u);
    hold(::send(peer.get(), data + at, cut, 0) == static_cast<ssize_t>(cut), "a whole write");
    at += cut;
    while (connection.read_some() == Connection::Read::kSome && !ended) try {
        while (const auto frame = connection.next_frame()) {
          hold(frames < expected.frames.size(), "no frame that is none");
          const auto& [head, payload] = expected.frames[frames++];
          hold(std::memcmp(&frame->head, &head, sizeof head) == 0, "a frame's header");
          hold(std::memcmp(frame->payload, payload, head.payload_bytes) == 0, "its payload");
          answers.add(head.correlation);
          connection.consume(*frame);
        }
      } catch (const PeerError& error) {
        hold(expected.faulty && error.fault == expected.fault, "the fault is the stream's");
        ended = true;
      }
  }
  hold(frames == expected.frames.size(), "no frame is lost");
  hold(ended == expected.faulty, "a fault ends the connection");
  answers.check();
}

// Puts a frame somewhere, spoils a header, or changes bytes anywhere.
std::size_t mutate(Bytes& input, std::size_t max_size, unsigned seed) {
  std::minstd_rand chance(seed);
  if (input.size() < kCuts) input.resize(kCuts);
  switch (chance() % 4) {
    case 0: {
      FrameHead head{static_cast<std::uint32_t>(chance() % 200),
                     static_cast<FrameKind>(chance() % 7), kProtocol,
                     static_cast<std::uint16_t>(chance() % 10), chance()};
      Bytes frame(sizeof head + head.payload_bytes);
      std::memcpy(frame.data(), &head, sizeof head);
      const std::size_t at = kCuts + (chance() % 2 == 0 ? 0 : input.size() - kCuts);
      input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), frame.begin(), frame.end());
      break;
    }
    case 1:
      input[chance() % kCuts] = static_cast<std::uint8_t>(chance());
      break;
    case 2:
      if (input.size() > kCuts) input.erase(input.begin() + kCuts, input.begin() + kCuts + 1);
      break;
    default: {
      const std::size_t size = input.size();
      input.resize(max_size);
      input.resize(LLVMFuzzerMutate(input.data(), size, max_size));
    }
  }
  input.resize(std::min(input.size(), max_size));
  return input.size();
}

}  // namespace

}  // namespace rialto::server::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) { return 0; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rialto::server::fuzz::run(data, size);
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  std::vector<std::uint8_t> input(data, data + size);
  const std::size_t changed = rialto::server::fuzz::mutate(input, max_size, seed);
  std::memcpy(data, input.data(), changed);
  return changed;
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* two, std::size_t two_size,
                                                 std::uint8_t* out, std::size_t max_size,
                                                 unsigned) {
  const std::size_t first = std::min(one_size, max_size);
  const std::size_t second = std::min(two_size, max_size - first);
  std::memcpy(out, one, first);
  std::memcpy(out + first, two, second);
  return first + second;
}
