// Segments made ahead of need, in a thread of their own: the loop never waits for zeros. They are
// written a little at a time, since who syncs the journal waits for the same disk.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "fault.hpp"
#include "files.hpp"

namespace rialto::server {

class SpareSegments {
 public:
  struct Spare {
    std::string name;
    Descriptor file;
  };

  SpareSegments(const Folder& folder, std::size_t segment_bytes, bool hurry,
                std::function<void(Fault, const std::string&)> fail);
  ~SpareSegments() { stop(); }

  // Ends the thread and removes what was not needed.
  void stop();

  // From now on there is to be at least one.
  void keep_one();
  // A ready one; where there is none, one of reserved space, and from now on twice as many are
  // kept ready. Throws FileError.
  Spare take();

 private:
  static constexpr std::size_t kMost = 8;

  void run();
  void pause();
  std::string fresh_name();

  const Folder& folder_;
  const std::size_t segment_bytes_;
  const std::function<void(Fault, const std::string&)> fail_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Spare> ready_;
  std::size_t wanted_ = 0;
  std::size_t named_ = 0;
  bool stopping_ = false;
  bool hurried_ = false;  // one was wanted and none was there: no pauses until all are
  std::thread thread_;
};

}  // namespace rialto::server
