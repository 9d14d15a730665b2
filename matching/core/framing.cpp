#include "framing.hpp"

namespace rialto {

std::uint8_t list_stripes(const Command& command, std::size_t offset, std::size_t size) {
  const auto* record = reinterpret_cast<const std::uint8_t*>(&command);
  std::uint8_t stripes = 1;
  for (int count = 0; count < kMaxListed; ++count) {
    if (count >= kMinListed && stripes >= command.stripes) break;
    const std::size_t at = offset + stripes * kStripe;
    if (at + kStripe > size) refuse_record(kBadLength, "a list without its order", at);
    const Command& order = command_at(record + stripes * kStripe);
    if (order.opcode != Opcode::kPlaceOrder || order.version != kCommandVersion)
      refuse_record(kBadField, "no order in a list", at);
    stripes = static_cast<std::uint8_t>(stripes + stripes_of(order, at, size));
  }
  if (command.stripes != stripes || command.text_length != 0)
    refuse_record(kBadLength, "stripes", offset);
  return stripes;
}

}  // namespace rialto
