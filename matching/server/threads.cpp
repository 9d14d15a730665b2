#include "threads.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

namespace rialto::server {

namespace {

constexpr std::uint64_t kSliceNs = 100'000;  // the shortest that the kernel grants
constexpr int kHeapStep = 32 << 20;  // bytes; half of what glibc gives a thread's heap

// `struct sched_attr` of sched_setattr(2), its first version; libraries do not declare it.
struct Attributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};
static_assert(sizeof(Attributes) == 48);

}  // namespace

Priority hurry_this_thread(Rank rank) {
  const sched_param level{.sched_priority = static_cast<int>(rank)};
  if (::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &level) == 0)
    return Priority::kRealTime;
  Attributes attributes{sizeof attributes, SCHED_OTHER, 0, 0, 0, kSliceNs, 0, 0};
  attributes.nice = ::getpriority(PRIO_PROCESS, 0);  // as it is
  if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) return Priority::kNormal;
  Attributes granted{};  // an older kernel takes no notice
  const bool told = ::syscall(SYS_sched_getattr, 0, &granted, sizeof granted, 0) == 0;
  return told && granted.runtime == kSliceNs ? Priority::kShortSlices : Priority::kNormal;
}

void grow_heaps_rarely() {
#ifdef __GLIBC__
  ::mallopt(M_TOP_PAD, kHeapStep);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kHeapStep);
#endif
}

const char* name_of(Priority priority) {
  switch (priority) {
    case Priority::kRealTime:
      return "real time";
    case Priority::kShortSlices:
      return "short slices";
    case Priority::kNormal:
      return "normal";
  }
  return "";
}

ThreadMeter::ThreadMeter()
    : schedstat_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

ThreadMeter::~ThreadMeter() {
  if (schedstat_ >= 0) ::close(schedstat_);
}

ThreadUsage ThreadMeter::read() const {
  ThreadUsage usage{};
  char text[128];
  const ssize_t got = schedstat_ < 0 ? -1 : ::pread(schedstat_, text, sizeof text - 1, 0);
  if (got > 0) {  // ns on a processor, ns in the queue for one, how often
    text[got] = 0;
    std::sscanf(text, "%*u %" SCNu64, &usage.queued_ns);
  }
  rusage used{};
  if (::getrusage(RUSAGE_THREAD, &used) == 0) {
    usage.pushed_aside = static_cast<std::uint64_t>(used.ru_nivcsw);
    usage.page_faults = static_cast<std::uint64_t>(used.ru_minflt + used.ru_majflt);
  }
  return usage;
}

}  // namespace rialto::server
