// Memory that grows without moving: address space is reserved once, pages arrive when touched.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace rialto {

// An array of `T` whose elements never move. `T` must be happy as zero bytes.
template <typename T>
class Arena {
 public:
  explicit Arena(std::size_t capacity) : bytes_(capacity * sizeof(T)) {
    void* place = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) throw std::bad_alloc();
    madvise(place, bytes_, MADV_HUGEPAGE);
    data_ = static_cast<T*>(place);
  }
  ~Arena() { munmap(data_, bytes_); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Touches the first `count` elements, so that their pages are there before they are needed.
  void prefault(std::size_t count) {
    auto* bytes = reinterpret_cast<volatile char*>(data_);
    for (std::size_t at = 0; at < count * sizeof(T) && at < bytes_; at += 4096)
      bytes[at] = bytes[at];
  }

  // Has the pages of elements `from` to `to` made, in any thread and without a change to what is in
  // them; a kernel that does not know how (before Linux 5.14) makes them when they are touched.
  void populate(std::size_t from, std::size_t to) const {
    constexpr std::size_t kPage = 4096;
    const std::size_t begin = from * sizeof(T) / kPage * kPage;
    const std::size_t end = std::min(to * sizeof(T), bytes_);
    if (begin < end)
      madvise(reinterpret_cast<char*>(data_) + begin, end - begin, MADV_POPULATE_WRITE);
  }

  T& operator[](std::size_t index) { return data_[index]; }
  const T& operator[](std::size_t index) const { return data_[index]; }
  std::size_t capacity() const { return bytes_ / sizeof(T); }

 private:
  T* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace rialto
