// A load client of the binary door: sends a flow, checks every answer, counts every latency.
//
// Open loop: each command has a time at which it is meant to leave, and its latency counts from
// there, however late it left and however many others left in the same frame.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "flow.hpp"
#include "frames.hpp"
#include "server/histogram.hpp"
#include "server/threads.hpp"

namespace rialto {

class LoadClient {
 public:
  // `hello` is a whole frame. `announce` writes into each command's unused sequence how many
  // stripes answer it, which is what the echo goes by.
  LoadClient(const std::string& socket_path, const std::string& hello, Flow flow, bool announce);
  ~LoadClient();
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;

  // Sends the flow's opening quotes, as fast as they are answered; they are not measured.
  void open_book();
  // `rate` commands a second for `seconds`, then waits for the last answer.
  void run_open(double rate, double seconds);
  // Up to `window` commands in flight, in frames of up to `frame`, for `seconds`.
  void run_window(double seconds, unsigned window, unsigned frame);

  Histogram latency;   // of all measured runs
  Histogram last_run;  // of the last one
  std::uint64_t measured = 0, sent = 0, acknowledged = 0, frames = 0;
  std::uint64_t bytes_out = 0, bytes_in = 0;
  std::uint64_t queued_ns = 0;  // this thread, in measured runs: ready, but others had the processors
  double busy_seconds = 0;  // of the measured runs, from the first intended to the last answer
  const Flow& flow() const { return flow_; }

 private:
  struct Waiting {
    std::uint64_t due_ns;
    Answer answer;
  };
  struct SentFrame {
    std::uint64_t correlation;
    std::uint32_t commands;
  };

  void begin_measuring();
  void end_measuring(std::uint64_t start_ns);
  void connect_to(const std::string& socket_path, const std::string& hello);
  void window_loop(std::uint64_t end_ns, std::uint64_t most, unsigned window, unsigned frame);
  void queue_frame(std::uint32_t count, double first_due_ns, double step_ns);
  void flush();
  bool receive();
  void take(const FrameHeader& header, const std::uint8_t* payload, std::uint64_t at_ns);
  [[noreturn]] void refuse(const std::uint8_t* group, const Answer& wanted) const;
  void wait_until(std::uint64_t due_ns);
  void expect_progress();

  server::ThreadMeter meter_;
  std::uint64_t queued_before_ns_ = 0;
  int socket_ = -1;
  bool announce_, measuring_ = false;
  Flow flow_;
  std::uint64_t correlation_ = 0, last_answer_ns_ = 0, progress_ns_ = 0;
  std::deque<Waiting> waiting_;
  std::deque<SentFrame> sent_frames_;
  std::vector<std::uint8_t> out_, in_;
  std::size_t out_at_ = 0, in_have_ = 0;
};

}  // namespace rialto
