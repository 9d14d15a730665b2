#include "sequencer.hpp"

#include <algorithm>
#include <cstring>

#include "failpoint.hpp"
#include "threads.hpp"

namespace rialto::server {

namespace {

constexpr std::uint64_t kIndexedOrders = 1 << 21;  // 16 MiB

}  // namespace

std::uint32_t Group::add(const std::uint8_t* data, std::size_t size) {
  check_whole_stripes(size);
  const std::size_t before = bytes();
  stripes_.resize(stripes_.size() + size / kStripe);
  std::memcpy(payload() + before, data, size);
  std::uint32_t count = 0;
  try {
    for (std::size_t offset = 0; offset < size; ++count)
      offset += stripes_of(at(before + offset), offset, size) * kStripe;
  } catch (const WireError&) {
    cut(before, commands_);
    throw;
  }
  commands_ += count;
  return count;
}

void Group::cut(std::size_t bytes, std::uint32_t commands) {
  stripes_.resize(1 + bytes / kStripe);
  commands_ = commands;
}

Sequencer::Sequencer(std::shared_ptr<SharedEngine> engine, Journal& journal, EventLog& events)
    : shared_(std::move(engine)), journal_(journal), log_(events) {
  shared_->ask([this](const Engine& found) {
    sequence_ = found.state.sequence;
    last_us_ = found.state.time_us;
    slots_ = room_ = found.state.slots();
    return true;
  });
  first_ = sequence_ + 1;
  // An index that doubles moves all it has while everyone waits: begin with room for a while.
  shared_->change([](Engine& found) {
    found.state.reserve_index(kIndexedOrders);
    return true;
  });
}

void Sequencer::write(Group& group) {
  last_us_ = std::max(last_us_, static_cast<std::int64_t>(clock_ns(CLOCK_REALTIME) / 1000));
  first_ = sequence() + 1;
  std::uint64_t next = first_;
  for (std::size_t offset = 0; offset < group.bytes();) {
    Command& command = group.at(offset);
    command.sequence = next++;
    command.time_us = last_us_;
    offset += command.stripes * kStripe;
  }
  journal_.append(group.payload(), group.bytes(), first_, group.commands());
}

std::span<const EventStripe> Sequencer::apply(Group& group) {
  events_ = engine_->apply(group.payload(), group.bytes());
  slots_.store(engine_->state.slots(), std::memory_order_relaxed);
  hit("after_apply");
  sequence_.store(first_ + group.commands() - 1, std::memory_order_release);
  return events_;
}

void Sequencer::make_room(std::uint64_t count, std::uint64_t at_once) {
  const std::uint64_t wanted = slots_.load(std::memory_order_relaxed) + count;
  while (room_ < wanted) {
    const std::uint64_t to = std::min(room_ + at_once, wanted);
    engine_->state.populate(room_, to);
    room_ = to;
  }
}

void Sequencer::add_events() {
  log_.append(first_, sequence(), events_, engine_->events.lanes);
}

}  // namespace rialto::server
