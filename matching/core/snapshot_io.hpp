// Fixed records into and out of the bytes of a snapshot.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace rialto {

class Writer {
 public:
  template <typename T>
  void put(const T& value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void count(std::uint64_t n) { put(n); }
  std::string bytes;
};

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}
  template <typename T>
  T get() {
    if (bytes_.size() - at_ < sizeof(T)) throw std::invalid_argument("a section is cut off");
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  template <typename T, typename Use>
  void section(Use use) {
    for (auto left = get<std::uint64_t>(); left > 0; --left) use(get<T>());
  }
  bool done() const { return at_ == bytes_.size(); }

 private:
  const std::string& bytes_;
  std::size_t at_ = 0;
};

}  // namespace rialto
