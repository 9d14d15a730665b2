#include "spare_segments.hpp"

#include <algorithm>

#include "threads.hpp"

namespace rialto::server {

SpareSegments::SpareSegments(const Folder& folder, std::size_t segment_bytes,
                             std::function<void(Fault, const std::string&)> fail)
    : folder_(folder), segment_bytes_(segment_bytes), fail_(std::move(fail)) {
  thread_ = start_thread("segments", [this] { run(); });
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
      file = folder_.zeros(name, segment_bytes_);
    } catch (const FileError& error) {
      fail_(Fault::kWriteFailed, error.what());
      return;
    }
    lock.lock();
    ready_.push_back({name, std::move(file)});
  }
}

}  // namespace rialto::server
