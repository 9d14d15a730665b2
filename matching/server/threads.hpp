// Threads beside the interpreter: signals stay with Python's main thread.
#pragma once

#include <pthread.h>

#include <csignal>
#include <cstdint>
#include <ctime>
#include <thread>
#include <utility>

namespace rialto::server {

template <typename Body>
std::thread start_thread(const char* name, Body body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // a thread is born with its parent's mask
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

inline std::uint64_t clock_ns(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

inline std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

// How the scheduler treats a thread that others wait for.
enum class Priority {
  kNormal,
  kShortSlices,  // on waking it goes before who has a longer slice (Linux 6.12); free for anybody
  kRealTime,     // on waking it goes before everything ordinary; needs CAP_SYS_NICE or a limit
};

// Among threads in a hurry. Equals do not push each other aside: an answer would wait for a helper.
enum class Rank : int {
  kHelper = 1,  // the kernel's lowest: its own threads and whoever is above stay above
  kAnswers = 2,
};

// Asks for the calling thread to run as soon as it has something to do: the best of the above that
// is permitted, and which it is.
Priority hurry_this_thread(Rank rank);

const char* name_of(Priority priority);

// Lets the process' heaps grow and shrink rarely: each time, all of its threads wait for whoever
// maps, unmaps or fills memory at that moment, and for the scheduler when that one sleeps. It costs
// address space, not memory.
void grow_heaps_rarely();

// What became of a thread, from its own mouth.
struct ThreadUsage {
  std::uint64_t queued_ns;  // ready, but others had the processors
  std::uint64_t pushed_aside;  // times that it was stopped in the middle of its work
  std::uint64_t page_faults;
};

class ThreadMeter {
 public:
  ThreadMeter();  // of the calling thread
  ~ThreadMeter();
  ThreadMeter(const ThreadMeter&) = delete;
  ThreadMeter& operator=(const ThreadMeter&) = delete;
  ThreadUsage read() const;  // by the same thread

 private:
  int schedstat_;
};

}  // namespace rialto::server
