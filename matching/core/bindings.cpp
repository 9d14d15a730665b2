// The core as a Python class: bytes in, bytes out, and read-only questions. `matching/engine.py`
// is its only user.
#include "load/bindings.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <tuple>

#include "benchmark.hpp"
#include "perpetual_snapshot.hpp"
#include "risk_bindings.hpp"
#include "scopes.hpp"
#include "server/module.hpp"
#include "shared_engine.hpp"
#include "snapshot.hpp"

namespace nb = nanobind;

namespace rialto {

namespace {

nb::bytes as_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

class Core {
  static constexpr std::size_t kReplayBytes = 64 << 10;

 public:
  explicit Core(std::uint32_t shard) : Core(std::make_unique<Engine>(shard)) {}
  explicit Core(std::unique_ptr<Engine> engine)
      : shared_(std::make_shared<SharedEngine>(std::move(engine))) {}

  // For the loop that drives this engine from now on.
  std::shared_ptr<SharedEngine> shared() const { return shared_; }

  // The sequence at which this thread's last question was answered.
  static std::uint64_t answered_at() { return answered_at_; }

  nb::bytes apply(nb::bytes batch) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(batch.c_str());
    const std::size_t size = batch.size();
    nb::gil_scoped_release free;
    return shared_->change([&](Engine& engine) {
      const std::span<const EventStripe> out = engine.apply(data, size);
      nb::gil_scoped_acquire held;  // whoever waits for the engine has let it go
      return nb::bytes(out.data(), out.size_bytes());
    });
  }

  // As `apply`, for who wants the state and not the events: returns how many bytes they have. A
  // long batch is applied in pieces whose events stay in the cache.
  std::size_t replay(nb::bytes batch) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(batch.c_str());
    const std::size_t size = batch.size();
    nb::gil_scoped_release free;
    return shared_->change([&](Engine& engine) {
      std::size_t event_bytes = 0;
      for (std::size_t start = 0; start < size;) {
        std::size_t end = start;
        while (end + kStripe <= size && end - start < kReplayBytes) {
          const std::size_t stripes = data[end + offsetof(Command, stripes)];
          end = stripes == 0 ? size : std::min(size, end + stripes * kStripe);
        }
        if (size - end < kStripe) end = size;  // what is no whole command is for `apply` to refuse
        event_bytes += engine.apply(data + start, end - start).size_bytes();
        start = end;
      }
      return event_bytes;
    });
  }

  nb::bytes snapshot() const { return as_bytes(ask(encode_state)); }

  nb::bytes chain() const { return as_bytes(ask(chain_of)); }

  void reserve(std::uint64_t orders) {
    shared_->change([orders](Engine& engine) {
      engine.state.reserve(orders);
      return true;
    });
  }

  template <typename Number>
  Number read(Number State::*field) const {
    return ask([field](const Engine& engine) { return engine.state.*field; });
  }

  std::uint32_t shard() const { return read(&State::shard); }
  std::uint64_t sequence() const { return read(&State::sequence); }
  std::int64_t time_us() const { return read(&State::time_us); }
  std::uint64_t trades() const { return read(&State::next_trade) - 1; }
  std::uint64_t epoch() const { return read(&State::epoch); }
  int mode() const { return static_cast<int>(read(&State::mode)); }
  nb::bytes status() const {
    return as_bytes(ask([](const Engine& engine) { return bytes_of(engine.state.status); }));
  }

  // All of the shard at one sequence: (sequence, time, epoch, mode, status, chain, symbols and,
  // where wanted, snapshot).
  nb::tuple view(bool with_snapshot) const {
    struct View {
      std::uint64_t sequence;
      std::int64_t time_us;
      std::uint64_t epoch;
      int mode;
      std::string status, chain;
      std::vector<Symbol> symbols;
      std::string snapshot;
    };
    const View view = ask([with_snapshot](const Engine& engine) {
      const State& state = engine.state;
      return View{state.sequence,
                  state.time_us,
                  state.epoch,
                  static_cast<int>(state.mode),
                  bytes_of(state.status),
                  chain_of(engine),
                  symbols_of(engine),
                  with_snapshot ? encode_state(engine) : std::string()};
    });
    return nb::make_tuple(view.sequence, view.time_us, view.epoch, view.mode,
                          as_bytes(view.status), as_bytes(view.chain), lines_of(view.symbols),
                          as_bytes(view.snapshot));
  }

  using BalanceLine = std::tuple<std::uint64_t, std::uint16_t, std::int64_t, std::int64_t>;

  std::vector<BalanceLine> balances() const {
    return ask([](const Engine& engine) {
      std::vector<BalanceLine> lines;
      for (std::uint32_t at = 1; at < engine.state.accounts.size(); ++at)
        add_balances(engine.state, at, lines);
      return lines;
    });
  }

  std::vector<BalanceLine> account_balances(std::uint64_t account_id) const {
    return ask([account_id](const Engine& engine) {
      std::vector<BalanceLine> lines;
      if (const std::uint32_t at = engine.state.find_account(account_id))
        add_balances(engine.state, at, lines);
      return lines;
    });
  }

  std::vector<std::tuple<std::uint16_t, std::int64_t, std::int64_t>> assets() const {
    return ask([](const Engine& engine) {
      std::vector<std::tuple<std::uint16_t, std::int64_t, std::int64_t>> lines;
      for (const Asset& asset : engine.state.assets)
        lines.emplace_back(asset.id, asset.issued, asset.fees);
      return lines;
    });
  }

  nb::list symbols() const { return lines_of(ask(symbols_of)); }

  // Each market as its section of a snapshot has it, by id.
  nb::bytes markets() const {
    return as_bytes(ask([](const Engine& engine) { return market_lines(engine.state); }));
  }

  // (account, fee tier) where it is not 0.
  std::vector<std::pair<std::uint64_t, std::uint32_t>> tiers() const {
    return ask([](const Engine& engine) {
      std::vector<std::pair<std::uint64_t, std::uint32_t>> lines;
      for (const Account& account : engine.state.accounts)
        if (account.tier != 0) lines.emplace_back(account.id, account.tier);
      return lines;
    });
  }

  // Perpetual markets by id: their lines of a snapshot, then by market whether its mark is fresh,
  // and its long lots.
  std::pair<nb::bytes, std::vector<std::pair<bool, std::int64_t>>> perpetuals() const {
    const auto found = ask([](const Engine& engine) {
      std::vector<std::pair<bool, std::int64_t>> now;
      for (const Market* market : engine.state.perpetuals)
        now.emplace_back(market->perpetual->is_fresh(engine.state.time_us),
                         market->perpetual->open_lots);
      return std::pair(perpetual_lines(engine.state), std::move(now));
    });
    return {as_bytes(found.first), found.second};
  }

  using PositionLine = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

  // An account's kept seats by market: their lines of a snapshot, then mark, unrealised profit,
  // maintenance margin and liquidation price (0: none) of each.
  std::pair<nb::bytes, std::vector<PositionLine>> positions(std::uint64_t account_id) const {
    const auto found = ask([account_id](const Engine& engine) {
      const State& state = engine.state;
      const std::uint32_t account = state.find_account(account_id);
      std::vector<PositionLine> now;
      for (const Market* market : state.perpetuals) {
        const Seat* seat = market->perpetual->look(account);
        if (seat == nullptr || !seat->is_kept()) continue;
        const std::uint16_t symbol_id = market->rules.symbol_id;
        const Exposure exposure = market->perpetual->exposure(symbol_id, *seat);
        const Scope scope = scope_of(state, account, scope_symbol(*market, account));
        now.emplace_back(exposure.mark_ticks, exposure.unrealised_units(),
                         seat->position.lots != 0 ? exposure.maintenance_units() : 0,
                         liquidation_price_ticks(scope, symbol_id).value_or(0));
      }
      return std::pair(seat_lines(state, account), std::move(now));
    });
    return {as_bytes(found.first), found.second};
  }

  using ScopeLine = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                               std::int64_t, std::uint64_t, bool>;

  // A scope's cash, equity, maintenance margin, what new orders need, what may leave, its version
  // while it is frozen, and whether an uncovered loss gates it.
  ScopeLine scope(std::uint64_t account_id, std::uint16_t symbol_id) const {
    return ask([=](const Engine& engine) {
      const State& state = engine.state;
      const Market* market = state.market(symbol_id);
      if (symbol_id != 0 && (market == nullptr || market->perpetual == nullptr))
        throw nb::key_error("no perpetual market");
      if (state.collateral == kNone16) return ScopeLine{};
      const std::uint32_t account = state.find_account(account_id);
      const Scope found = scope_of(state, account, symbol_id);
      const auto frozen = state.frozen.find({account_id, symbol_id});
      return ScopeLine{found.cash_units,
                       found.equity_units(),
                       found.maintenance_units(),
                       static_cast<std::int64_t>(required_units(state, account, symbol_id)),
                       leaving_units(state, account, symbol_id),
                       frozen == state.frozen.end() ? 0 : frozen->second.version,
                       symbol_id == 0 && is_gated(state)};
    });
  }

  // All kept seats, as their section of a snapshot has them.
  nb::bytes seats() const {
    return as_bytes(ask([](const Engine& engine) { return all_seat_lines(engine.state); }));
  }

  // (account, symbol, version, key low, key high, since) of the scopes in liquidation.
  using FrozenLine = std::tuple<std::uint64_t, std::uint16_t, std::uint64_t, std::uint64_t,
                                std::uint64_t, std::int64_t>;
  std::vector<FrozenLine> frozen() const {
    return ask([](const Engine& engine) {
      std::vector<FrozenLine> lines;
      for (const auto& [scope, it] : engine.state.frozen)
        lines.emplace_back(scope.account_id, scope.symbol_id, it.version, it.key_low, it.key_high,
                           it.since_us);
      return lines;
    });
  }

  std::int64_t dust() const {
    return ask([](const Engine& engine) { return engine.state.fund.rounding_units; });
  }

  nb::bytes open_orders(std::uint64_t account_id, std::uint16_t symbol_id) const {
    return as_bytes(ask([=](const Engine& engine) {
      const State& state = engine.state;
      std::string lines;
      const std::uint32_t at = state.find_account(account_id);
      Slot slot = at == 0 ? 0 : state.accounts[at].open_head;
      for (; slot != 0; slot = state.links[slot].account_next) {
        const Order& order = state.orders[slot];
        if (symbol_id == 0 || state.markets[order.symbol]->rules.symbol_id == symbol_id)
          lines += order_line(engine, slot);
      }
      return lines;
    }));
  }

  nb::bytes order_by_id(std::uint64_t order_id) const {
    return as_bytes(ask([order_id](const Engine& engine) {
      constexpr std::uint64_t kMask = (std::uint64_t{1} << 48) - 1;
      const State& state = engine.state;
      const Slot slot = order_id >> 48 == state.shard ? state.pages.find(order_id & kMask) : 0;
      return slot == 0 ? std::string() : order_line(engine, slot);
    }));
  }

  nb::bytes order_by_key(std::uint64_t account_id, std::uint64_t low, std::uint64_t high) const {
    return as_bytes(ask([=](const Engine& engine) {
      const State& state = engine.state;
      const std::uint32_t account = state.find_account(account_id);
      const Slot slot = state.index.find(identity_hash(account_id, low, high), [&](Slot at) {
        const Order& order = state.orders[at];
        return order.key_low == low && order.key_high == high && order.account == account;
      });
      return slot == 0 ? std::string() : order_line(engine, slot);
    }));
  }

  // `record` is one whole PLACE_ORDER or PLACE_ORDER_LIST; (reason, what it would hold, which
  // order of the list is refused).
  std::tuple<int, std::int64_t, int> dry_run(nb::bytes record) const {
    const auto* data = reinterpret_cast<const std::uint8_t*>(record.c_str());
    return ask([data](Engine& engine) {
      const auto [reason, hold, list_position] = engine.dry_run(data);
      return std::tuple<int, std::int64_t, int>(static_cast<int>(reason), hold, list_position);
    });
  }

  using Depth = std::vector<std::pair<std::int64_t, std::int64_t>>;

  // Bids and asks.
  std::pair<Depth, Depth> book(std::uint16_t symbol_id, std::size_t levels) const {
    return ask([=](const Engine& engine) {
      const std::uint16_t at = engine.state.symbol_index[symbol_id];
      if (at == kNone16) return std::pair<Depth, Depth>();
      return std::pair(depth(engine.state, at, 0, levels), depth(engine.state, at, 1, levels));
    });
  }

 private:
  struct Symbol {
    std::uint16_t id;
    int state;
    std::int64_t last_ticks;
    std::uint64_t open_orders;
    std::string status;
  };

  // Who waits lets the interpreter go. What `question` returns must be free of the engine.
  template <typename Question>
  auto ask(Question question) const -> std::invoke_result_t<Question&, Engine&> {
    nb::gil_scoped_release free;
    auto found = shared_->ask([&question](Engine& engine) {
      auto answer = question(engine);
      return std::pair(engine.state.sequence, std::move(answer));
    });
    answered_at_ = found.first;
    return std::move(found.second);
  }

  static std::string bytes_of(const auto& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }

  static std::string chain_of(const Engine& engine) { return bytes_of(engine.events.lanes); }

  static std::vector<Symbol> symbols_of(const Engine& engine) {
    std::vector<Symbol> lines;
    for (const auto& market : engine.state.markets)
      lines.push_back({market->rules.symbol_id, static_cast<int>(market->state),
                       market->last_ticks, market->open_orders, bytes_of(market->status)});
    return lines;
  }

  static nb::list lines_of(const std::vector<Symbol>& symbols) {
    nb::list lines;
    for (const Symbol& symbol : symbols)
      lines.append(nb::make_tuple(symbol.id, symbol.state, symbol.last_ticks, symbol.open_orders,
                                  as_bytes(symbol.status)));
    return lines;
  }

  static Depth depth(const State& state, std::uint16_t at, int side, std::size_t levels) {
    Depth lines;
    const Book& book = state.markets[at]->book;
    for (std::int64_t price = book.best(side); price != kNoPrice && lines.size() < levels;
         price = book.next_price(side, price)) {
      std::int64_t lots = 0;
      for (Slot slot = book.at(side, price).head; slot != 0; slot = state.links[slot].next)
        lots += state.orders[slot].remaining;
      lines.emplace_back(price, lots);
    }
    return lines;
  }

  static void add_balances(const State& state, std::uint32_t at,
                           std::vector<BalanceLine>& lines) {
    for (std::size_t asset = 0; asset < state.assets.size(); ++asset) {
      const Balance& balance = state.balances[at * state.balance_stride + asset];
      if (balance.total != 0 || balance.held != 0)
        lines.emplace_back(state.accounts[at].id, state.assets[asset].id, balance.total,
                           balance.held);
    }
  }

  std::shared_ptr<SharedEngine> shared_;
  inline static thread_local std::uint64_t answered_at_ = 0;
};

}  // namespace

}  // namespace rialto

namespace rialto {

namespace {

std::vector<FlowLine> flow_of(nb::bytes raw) {
  if (raw.size() % sizeof(FlowLine) != 0)
    throw std::invalid_argument("the flow is not whole lines of 24 bytes");
  std::vector<FlowLine> flow(raw.size() / sizeof(FlowLine));
  std::memcpy(flow.data(), raw.c_str(), raw.size());
  return flow;
}

nb::dict as_dict(const Measured& measured) {
  nb::dict out;
  out["seconds"] = measured.seconds;
  out["commands"] = measured.commands;
  out["trades"] = measured.trades;
  out["volume"] = measured.volume;
  out["checksum"] = measured.checksum;
  out["rejected"] = measured.rejected;
  if (!measured.latency_ns.empty()) {
    const std::size_t last = measured.latency_ns.size() - 1;
    for (const auto& [name, share] :
         {std::pair{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p999_ns", 0.999}})
      out[name] = measured.latency_ns[static_cast<std::size_t>(static_cast<double>(last) * share)];
  }
  return out;
}

nb::dict bench_engine(nb::bytes raw, unsigned passes, unsigned batch, std::uint32_t window, bool warm,
                      bool perpetual) {
  if (passes == 0 || batch == 0) throw std::invalid_argument("passes and batch are at least 1");
  return as_dict(measure_engine(flow_of(raw), {passes, batch, window, warm, perpetual}));
}

nb::dict bench_bare_book(nb::bytes raw, unsigned passes) {
  return as_dict(measure_bare_book(flow_of(raw), passes));
}

}  // namespace

}  // namespace rialto

NB_MODULE(_core, m) {
  rialto::bind_load(m);
  rialto::bind_risk_formulas(m);
  m.def("bench_engine", &rialto::bench_engine, nb::arg("flow"), nb::arg("passes"), nb::arg("batch"),
        nb::arg("window"), nb::arg("warm"), nb::arg("perpetual") = false);
  m.def("limits", [] {
    nb::dict out;
    for (const rialto::Limit& limit : rialto::kLimits) out[limit.name] = limit.value;
    return out;
  });
  m.def("bench_resting", &rialto::measure_resting, nb::arg("count"));
  m.def("bench_bare_book", &rialto::bench_bare_book, nb::arg("flow"), nb::arg("passes"));
  using rialto::Core;
  nb::exception<rialto::SequenceError>(m, "CoreSequenceError", PyExc_RuntimeError);
  static nb::exception<rialto::WireError> wire_error(m, "CoreWireError", PyExc_ValueError);
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const rialto::WireError& error) {
      PyErr_SetObject(wire_error.ptr(), nb::make_tuple(error.fault, error.what()).ptr());
    }
  });
  nb::class_<rialto::SharedEngine>(m, "SharedEngine");
  nb::class_<Core>(m, "Core")
      .def(nb::init<std::uint32_t>(), nb::arg("shard"))
      .def_static("restore",
                  [](nb::bytes data) {
                    return Core(rialto::decode_state(std::string(data.c_str(), data.size())));
                  })
      .def("shared", &Core::shared)
      .def_static("answered_at", &Core::answered_at)
      .def("apply", &Core::apply)
      .def("replay", &Core::replay)
      .def("snapshot", &Core::snapshot)
      .def("chain", &Core::chain)
      .def("reserve", &Core::reserve)
      .def("balances", &Core::balances)
      .def("account_balances", &Core::account_balances)
      .def("assets", &Core::assets)
      .def("symbols", &Core::symbols)
      .def("markets", &Core::markets)
      .def("tiers", &Core::tiers)
      .def("perpetuals", &Core::perpetuals)
      .def("positions", &Core::positions)
      .def("scope", &Core::scope)
      .def("seats", &Core::seats)
      .def("frozen", &Core::frozen)
      .def("dust", &Core::dust)
      .def("status", &Core::status)
      .def("view", &Core::view, nb::arg("with_snapshot"))
      .def("open_orders", &Core::open_orders)
      .def("order_by_id", &Core::order_by_id)
      .def("order_by_key", &Core::order_by_key)
      .def("book", &Core::book)
      .def("dry_run", &Core::dry_run)
      .def_prop_ro("shard", &Core::shard)
      .def_prop_ro("sequence", &Core::sequence)
      .def_prop_ro("time_us", &Core::time_us)
      .def_prop_ro("trades", &Core::trades)
      .def_prop_ro("epoch", &Core::epoch)
      .def_prop_ro("mode", &Core::mode);
  rialto::server::bind_server(m);
}
