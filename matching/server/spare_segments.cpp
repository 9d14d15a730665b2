#include "spare_segments.hpp"

#include <algorithm>
#include <chrono>

#include "threads.hpp"

namespace rialto::server {

namespace {

constexpr std::chrono::milliseconds kPause{1};  // after each step: a segment takes about a second

}  // namespace

SpareSegments::SpareSegments(const Folder& folder, std::size_t segment_bytes, bool hurry,
                             std::function<void(Fault, const std::string&)> fail)
    : folder_(folder), segment_bytes_(segment_bytes), fail_(std::move(fail)) {
  thread_ = start_thread("segments", [this, hurry] {
    if (hurry) hurry_this_thread(Rank::kHelper);  // else it is put to sleep with the file system's locks
    run();
  });
}

void SpareSegments::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
  for (const Spare& spare : ready_) try {
      folder_.remove(spare.name);
    } catch (const FileError&) {  // the next start removes it
    }
}

void SpareSegments::keep_one() {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = std::max<std::size_t>(wanted_, 1);
  }
  changed_.notify_one();
}

SpareSegments::Spare SpareSegments::take() {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (!ready_.empty()) {
      Spare spare = std::move(ready_.front());
      ready_.pop_front();
      changed_.notify_one();
      return spare;
    }
    wanted_ = std::clamp<std::size_t>(wanted_ * 2, 1, kMost);
    hurried_ = true;
    name = fresh_name();
  }
  changed_.notify_one();
  return {name, folder_.reserved(name, segment_bytes_)};
}

std::string SpareSegments::fresh_name() {
  return "journal/spare-" + std::to_string(named_++) + ".new";
}

void SpareSegments::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || ready_.size() < wanted_; });
    if (stopping_) return;
    const std::string name = fresh_name();
    lock.unlock();
    Descriptor file;
    try {
      file = folder_.zeros(name, segment_bytes_, [this] { pause(); });
    } catch (const FileError& error) {
      fail_(Fault::kWriteFailed, error.what());
      return;
    }
    lock.lock();
    ready_.push_back({name, std::move(file)});
    hurried_ = hurried_ && ready_.size() < wanted_;
  }
}

void SpareSegments::pause() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPause, [this] { return stopping_ || hurried_; });
}

}  // namespace rialto::server
