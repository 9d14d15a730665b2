// Files below one folder, named by relative path as in matching/storage.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace rialto::server {

// An open descriptor, closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// Every failing call throws FileError.
class Folder {
 public:
  explicit Folder(std::string root) : root_(std::move(root)) {}

  Descriptor open(const std::string& name, int flags) const;
  void rename(const std::string& from, const std::string& to) const;
  void remove(const std::string& name) const;  // one that is not there is no error
  void sync_folder(const std::string& name) const;

  // A file of zeros that are written and synced, so that later syncs find nothing to allocate;
  // `between` is called after every 32 KiB.
  Descriptor zeros(const std::string& name, std::size_t size,
                   const std::function<void()>& between) const;
  // A file of reserved space that reads as zeros: at once, but its syncs cost more.
  Descriptor reserved(const std::string& name, std::size_t size) const;

 private:
  std::string root_;
};

// Writes all of it at `offset`.
void write_all(const Descriptor& file, const std::string& name, const void* data, std::size_t size,
               std::uint64_t offset);
void sync_data(const Descriptor& file, const std::string& name);
// Reads up to `size` bytes; fewer at the end of the file.
std::size_t read_at(const Descriptor& file, const std::string& name, void* data, std::size_t size,
                    std::uint64_t offset);

}  // namespace rialto::server
