#include "files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "fault.hpp"

namespace rialto::server {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Descriptor Folder::open(const std::string& name, int flags) const {
  const int fd = ::open((root_ + "/" + name).c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) throw FileError(name, errno);
  return Descriptor(fd);
}

void Folder::rename(const std::string& from, const std::string& to) const {
  if (::rename((root_ + "/" + from).c_str(), (root_ + "/" + to).c_str()) != 0)
    throw FileError(to, errno);
}

void Folder::remove(const std::string& name) const {
  if (::unlink((root_ + "/" + name).c_str()) != 0 && errno != ENOENT) throw FileError(name, errno);
}

void Folder::sync_folder(const std::string& name) const {
  const Descriptor folder = open(name, O_RDONLY | O_DIRECTORY);
  if (::fsync(folder.get()) != 0) throw FileError(name, errno);
}

Descriptor Folder::zeros(const std::string& name, std::size_t size,
                         const std::function<void()>& between) const {
  constexpr std::size_t kStep = 32 << 10;  // a write is not interrupted: this takes 0.1 ms
  static const std::unique_ptr<char[]> blank(new char[kStep]());
  Descriptor file = open(name, O_RDWR | O_CREAT | O_TRUNC);
  for (std::size_t offset = 0; offset < size; offset += kStep) {
    write_all(file, name, blank.get(), std::min(kStep, size - offset), offset);
    // To the disk without a commit of the file system's, for which others who sync would wait; not
    // every file system knows this, and the sync at the end is what counts.
    constexpr unsigned kHow = SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    if (::sync_file_range(file.get(), static_cast<off_t>(offset), kStep, kHow) != 0 &&
        errno != ENOSYS && errno != EINVAL)
      throw FileError(name, errno);
    between();
  }
  if (::fsync(file.get()) != 0) throw FileError(name, errno);
  return file;
}

Descriptor Folder::reserved(const std::string& name, std::size_t size) const {
  Descriptor file = open(name, O_RDWR | O_CREAT | O_TRUNC);
  const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(size));
  if (error != 0) throw FileError(name, error);
  return file;
}

void write_all(const Descriptor& file, const std::string& name, const void* data, std::size_t size,
               std::uint64_t offset) {
  const auto* bytes = static_cast<const char*>(data);
  while (size != 0) {
    const ssize_t done = ::pwrite(file.get(), bytes, size, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw FileError(name, done == 0 ? ENOSPC : errno);
    bytes += done;
    size -= static_cast<std::size_t>(done);
    offset += static_cast<std::uint64_t>(done);
  }
}

void sync_data(const Descriptor& file, const std::string& name) {
  if (::fdatasync(file.get()) != 0) throw FileError(name, errno);
}

std::size_t read_at(const Descriptor& file, const std::string& name, void* data, std::size_t size,
                    std::uint64_t offset) {
  std::size_t had = 0;
  while (had < size) {
    const ssize_t got = ::pread(file.get(), static_cast<char*>(data) + had, size - had,
                                static_cast<off_t>(offset + had));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw FileError(name, errno);
    if (got == 0) break;
    had += static_cast<std::size_t>(got);
  }
  return had;
}

}  // namespace rialto::server
