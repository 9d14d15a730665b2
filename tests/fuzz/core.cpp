// One fuzz input is a stream of commands, record after record as on the wire. It goes through
// three engines that must agree: one command at a time, with every invariant checked now and then
// and at the end; in batches; and restored from a snapshot in the middle. `rialto fuzz` builds and
// runs it.
//
// Numbers and times of an input are not taken as they are, or nearly every input would be refused
// at its first command: records are numbered densely, and the two fields say how time moves and
// where batches end. What is no record is refused, and must leave no trace.
#include <sys/prctl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "invariants.hpp"
#include "snapshot.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace rialto::fuzz {

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kMostStripes = std::max(1 + 3 * kMaxListed, 9);  // a list, or a perpetual
constexpr std::int64_t kStartUs = 1'000'000'000'000;
constexpr std::int64_t kStepsUs[16] = {0,
                                       1,
                                       1,
                                       1,
                                       1,
                                       1,
                                       1'000,
                                       1'000,
                                       1'000'000,
                                       1'000'000,
                                       5'000,
                                       3'000,
                                       kHourUs / 2,
                                       25 * kHourUs,
                                       49 * kHourUs,
                                       0};

Command head_of(const Bytes& record, std::size_t at = 0) {
  Command command;
  std::memcpy(&command, record.data() + at, sizeof command);
  return command;
}

void put_head(Bytes& record, const Command& command, std::size_t at = 0) {
  std::memcpy(record.data() + at, &command, sizeof command);
}

// Cuts an input into records of as many stripes as each says, at least one and at most those of
// the longest.
std::vector<Bytes> records_of(const std::uint8_t* data, std::size_t size) {
  std::vector<Bytes> records;
  for (std::size_t at = 0; at + kStripe <= size;) {
    const std::size_t wanted = std::clamp<std::size_t>(data[at + 18], 1, kMostStripes);
    const std::size_t stripes = std::min(wanted, (size - at) / kStripe);
    records.emplace_back(data + at, data + at + stripes * kStripe);
    at += stripes * kStripe;
  }
  return records;
}

// One group of events: dense, one outcome, all of the same command.
void check_events(std::span<const EventStripe> events, std::uint64_t sequence) {
  hold(!events.empty() && (events[0].head & 0xFFFF) == 0, "the outcome comes first");
  std::uint64_t index = 0, part = 0;
  for (const EventStripe& event : events) {
    hold(event.sequence == sequence, "events belong to their command");
    const bool begins = (event.head >> 24 & 0xFF) == 0;
    if (begins && &event != events.data()) ++index;
    hold((event.head & 0xFFFF) == index, "events of a command are numbered densely");
    hold(begins || (event.head >> 24 & 0xFF) > part, "an event's parts go up");
    part = event.head >> 24 & 0xFF;
  }
}

struct Accepted {
  Bytes record;
  bool ends_batch;
};

// Lets an index be of now, and a step of a liquidation name a scope that is frozen as it is: by
// chance no input would. Some are left as they are.
void aim(const State& state, Bytes& record, std::uint64_t control) {
  if ((control & 7) == 7) return;
  Command command = head_of(record);
  if (command.opcode == Opcode::kSetIndex && record.size() == 3 * kStripe) {
    IndexStripes said;
    std::memcpy(&said, &record[kStripe], sizeof said);
    for (std::int64_t& time_us : said.times_us) time_us = command.time_us;
    std::memcpy(&record[kStripe], &said, sizeof said);
  }
  const bool closes =
      command.opcode >= Opcode::kLiquidate && command.opcode <= Opcode::kDeleverage;
  if (state.frozen.empty() || (!closes && command.opcode != Opcode::kUnfreeze)) return;
  const auto scope = std::next(state.frozen.begin(),
                               static_cast<std::ptrdiff_t>((control >> 3) % state.frozen.size()));
  command.account_id = scope->first.account_id;
  if (scope->first.symbol_id != 0 || !closes) command.symbol_id = scope->first.symbol_id;
  if (!closes) command.a = static_cast<std::int64_t>(scope->second.version);
  put_head(record, command);
  if (closes && record.size() == 2 * kStripe)
    std::memcpy(&record[kStripe], &scope->second.version, sizeof scope->second.version);
}

// Applies records one by one; returns those that are records, as they were numbered.
std::vector<Accepted> run_singly(Engine& engine, std::vector<Bytes> records, Bytes& out,
                                 std::unique_ptr<Engine>& restored, std::size_t& restored_at) {
  std::vector<Accepted> accepted;
  std::int64_t time_us = kStartUs;
  for (Bytes& record : records) {
    Command command = head_of(record);
    const std::uint64_t control = command.sequence;
    time_us += kStepsUs[command.time_us & 15];
    command.sequence = engine.state.sequence + 1;
    command.time_us = time_us;
    if ((control >> 8 & 0x3F) != 0x3F) command.version = kCommandVersion;
    put_head(record, command);
    aim(engine.state, record, control >> 24);
    try {
      const auto events = engine.apply(record.data(), record.size());
      check_events(events, command.sequence);
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(events.data());
      out.insert(out.end(), bytes, bytes + events.size_bytes());
    } catch (const WireError&) {
      continue;
    }
    if ((control >> 16 & 7) == 0) Invariants(engine).check();
    accepted.push_back({record, (control & 3) == 0});
    if (restored == nullptr && (control >> 2 & 15) == 7) {
      const std::string snapshot = encode_state(engine);
      restored = decode_state(snapshot);
      restored_at = accepted.size();
      hold(encode_state(*restored) == snapshot, "a restored state is the same state");
      Invariants(*restored).check();
    }
  }
  Invariants(engine).check();
  return accepted;
}

void run_in_batches(Engine& engine, const std::vector<Accepted>& accepted, std::size_t from,
                    Bytes& out) {
  Bytes batch;
  for (std::size_t at = from; at < accepted.size(); ++at) {
    batch.insert(batch.end(), accepted[at].record.begin(), accepted[at].record.end());
    if (!accepted[at].ends_batch && at + 1 != accepted.size()) continue;
    const auto events = engine.apply(batch.data(), batch.size());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(events.data());
    out.insert(out.end(), bytes, bytes + events.size_bytes());
    batch.clear();
  }
}

// The bytes as they came: applied, or refused without a trace.
void run_raw(const Bytes& input) {
  Engine engine(0);
  const std::string before = encode_state(engine);
  try {
    engine.apply(input.data(), input.size());
    Invariants(engine).check();
  } catch (const WireError&) {
    hold(encode_state(engine) == before, "a refused batch leaves no trace");
  } catch (const SequenceError&) {
    hold(encode_state(engine) == before, "a misnumbered batch leaves no trace");
  }
}

void run(const std::uint8_t* data, std::size_t size) {
  run_raw(Bytes(data, data + size));
  Bytes singly, batched, after;
  std::unique_ptr<Engine> restored;
  std::size_t restored_at = 0;
  Engine one(0), many(0);
  const std::vector<Accepted> accepted =
      run_singly(one, records_of(data, size), singly, restored, restored_at);
  run_in_batches(many, accepted, 0, batched);
  hold(singly == batched, "a batch is the same as its commands one by one");
  const std::string state = encode_state(one);
  hold(encode_state(many) == state, "batches lead to the same state");
  if (restored == nullptr) return;
  run_in_batches(*restored, accepted, restored_at, after);
  hold(after.size() <= singly.size() && std::equal(after.rbegin(), after.rend(), singly.rbegin()),
       "a restored engine goes on with the same events");
  hold(encode_state(*restored) == state, "a restored engine comes to the same state");
}

// ---- mutation -------------------------------------------------------------------------------

class Mutator {
 public:
  Mutator(const std::uint8_t* data, std::size_t size, unsigned seed)
      : chance_(seed), records_(records_of(data, size)) {}

  std::size_t mutate(std::uint8_t* data, std::size_t max_size) {
    for (unsigned left = 1 + pick(4); left > 0; --left) once();
    return write(data, max_size);
  }

  // Mixes the records of another input in.
  std::size_t cross(const std::uint8_t* other, std::size_t size, std::uint8_t* data,
                    std::size_t max_size) {
    std::vector<Bytes> more = records_of(other, size);
    const std::size_t cut = pick(records_.size() + 1), from = pick(more.size() + 1);
    records_.resize(cut);
    records_.insert(records_.end(), more.begin() + static_cast<std::ptrdiff_t>(from), more.end());
    return write(data, max_size);
  }

 private:
  std::size_t pick(std::size_t below) { return below == 0 ? 0 : chance_() % below; }

  template <typename T, std::size_t kCount>
  T any(const T (&choices)[kCount]) {
    return choices[pick(kCount)];
  }

  std::int64_t number() {
    static constexpr std::int64_t kEdges[] = {0,
                                              1,
                                              -1,
                                              2,
                                              1'000'000,
                                              kInt64Max,
                                              kInt64Max - 1,
                                              std::numeric_limits<std::int64_t>::min(),
                                              std::int64_t{1} << 62,
                                              std::int64_t{1} << 32,
                                              30'000,
                                              kHourUs,
                                              25 * kHourUs,
                                              kStartUs,
                                              kStartUs + 5'000};
    return pick(4) == 0 ? any(kEdges) : static_cast<std::int64_t>(pick(60)) + 1;
  }

  // Around the listing price, or far above it, where a book's window of levels does not reach.
  std::int64_t price() {
    return (pick(4) == 0 ? 99'990 : 90) + static_cast<std::int64_t>(pick(21));
  }

  void once() {
    if (records_.empty()) records_.emplace_back(kStripe, 0);
    const std::size_t at = pick(records_.size());
    Bytes& record = records_[at];
    switch (pick(12)) {
      case 0:
        records_.insert(records_.begin() + static_cast<std::ptrdiff_t>(pick(records_.size())),
                        Bytes(record));
        break;
      case 1:
        records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 2:
        std::swap(record, records_[pick(records_.size())]);
        break;
      case 3:
        LLVMFuzzerMutate(record.data(), record.size(), record.size());
        break;
      case 4:
        resize(record);
        break;
      case 5:
        if (record.size() > kStripe) {
          const std::int64_t value = number();
          std::memcpy(&record[kStripe + 8 * pick(record.size() / 8 - 8)], &value, sizeof value);
        }
        break;
      case 6:
        list_up(record);
        break;
      default:
        field(record);
    }
  }

  // Makes a list of an order and one or two others, mostly such that go together: an OCO, or a
  // bracket of an entry and its children.
  void list_up(Bytes& record) {
    const Command first = head_of(record);
    const std::uint16_t kind = pick(3) == 0 ? kOco : kBracket;
    const std::size_t count = kind == kOco ? 2 : 2 + pick(2);
    Bytes list(kStripe);
    for (std::size_t at = 0; at < count; ++at) {
      const Bytes& order = at == 0 ? record : records_[pick(records_.size())];
      if (head_of(order).opcode != Opcode::kPlaceOrder) return;
      const std::size_t start = list.size();
      list.insert(list.end(), order.begin(), order.end());
      Command listed = head_of(order);
      listed.version = kCommandVersion;
      listed.symbol_id = first.symbol_id;
      listed.account_id = first.account_id;
      listed.b = first.b;
      const unsigned side = kind == kBracket && at != 0 ? ~first.flags & 1u : first.flags & 1u;
      listed.flags = static_cast<std::uint16_t>((listed.flags & ~1u) | side);
      if (type_of(listed.flags) == kLimit && (at != 0) == (kind == kBracket))
        listed.flags |= 1u << 8;
      listed.sequence = 0;
      listed.time_us = 0;
      put_head(list, listed, start);
    }
    Command head{};
    head.opcode = Opcode::kPlaceOrderList;
    head.version = kCommandVersion;
    head.stripes = static_cast<std::uint8_t>(list.size() / kStripe);
    head.flags = kind;
    head.symbol_id = first.symbol_id;
    head.account_id = first.account_id;
    head.key_low = first.key_low;
    head.key_high = first.key_high;
    put_head(list, head);
    record = std::move(list);
  }

  // Where the command begins whose fields are changed: of a list perhaps one of its orders.
  std::size_t part_of(const Bytes& record) {
    if (head_of(record).opcode != Opcode::kPlaceOrderList || pick(3) == 0) return 0;
    std::vector<std::size_t> parts;
    for (std::size_t at = kStripe; at < record.size();
         at += std::max<std::size_t>(1, record[at + 18]) * kStripe)
      parts.push_back(at);
    return parts.empty() ? 0 : parts[pick(parts.size())];
  }

  void resize(Bytes& record) {
    record.resize((1 + pick(kMostStripes)) * kStripe);
    record[18] = static_cast<std::uint8_t>(record.size() / kStripe);
  }

  void field(Bytes& record) {
    static constexpr std::uint8_t kOpcodes[] = {1,  1,  1,  1,  2,  2,  3,  4,  4,  5,  6,  6,  20,
                                                21, 60, 61, 62, 63, 64, 65, 42, 43, 44, 45, 45, 46,
                                                47, 48, 49, 50, 50, 51, 52, 53, 54, 55, 56};
    static constexpr std::uint64_t kAccounts[] = {0, 1, 1, 2, 2, 3, 4, 7, std::uint64_t{1} << 40,
                                                  kFundAccount};
    static constexpr std::uint16_t kSymbols[] = {0, 1, 2, 3, 4, 11, 11, 11, 12};
    const std::size_t part = part_of(record);
    Command command = head_of(record, part);
    switch (pick(11)) {
      case 0:
        command.sequence = chance_();
        break;
      case 1:
        command.time_us = pick(2) == 0 ? number() : static_cast<std::int64_t>(chance_());
        break;
      case 2:
        command.opcode = static_cast<Opcode>(pick(8) == 0 ? pick(256) : any(kOpcodes));
        break;
      case 3:
        command.text_length = static_cast<std::uint8_t>(pick(2) == 0 ? 0 : pick(kMaxText + 2));
        break;
      case 4:
        command.symbol_id = any(kSymbols);
        break;
      case 5:
        command.flags = static_cast<std::uint16_t>(command.flags ^ 1u << pick(16));
        break;
      case 6:
        command.flags = static_cast<std::uint16_t>(chance_() & 0x7FF);
        break;
      case 7:
        command.account_id = any(kAccounts);
        break;
      case 8:
        command.key_low = pick(40);
        command.key_high = 0;
        break;
      case 9:
        command.a = pick(3) == 0 ? number() : price();
        break;
      default:
        command.b = number();
    }
    put_head(record, command, part);
  }

  std::size_t write(std::uint8_t* data, std::size_t max_size) {
    std::size_t size = 0;
    for (const Bytes& record : records_) {
      if (size + record.size() > max_size) break;
      std::memcpy(data + size, record.data(), record.size());
      size += record.size();
    }
    return size;
  }

  std::minstd_rand chance_;
  std::vector<Bytes> records_;
};

}  // namespace

}  // namespace rialto::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // an engine an input: small pages are there sooner
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rialto::fuzz::run(data, size);
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return rialto::fuzz::Mutator(data, size, seed).mutate(data, max_size);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* two, std::size_t two_size,
                                                 std::uint8_t* out, std::size_t max_size,
                                                 unsigned seed) {
  return rialto::fuzz::Mutator(one, one_size, seed).cross(two, two_size, out, max_size);
}
