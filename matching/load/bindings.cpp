#include "bindings.hpp"

#include <nanobind/stl/string.h>

#include <array>
#include <utility>

#include "client.hpp"
#include "echo.hpp"
#include "server/threads.hpp"

namespace nb = nanobind;

namespace rialto {

namespace {

using Unlocked = nb::call_guard<nb::gil_scoped_release>;

nb::list scenario_list() {
  nb::list out;
  for (const Scenario& scenario : scenarios()) {
    nb::dict line;
    line["name"] = scenario.name;
    line["description"] = scenario.description;
    out.append(line);
  }
  return out;
}

// Returns (commands, bytes of the events that answer them).
nb::tuple take(Flow& flow, std::uint32_t count) {
  std::string bytes(std::size_t{count} * kStripe, '\0');
  std::uint64_t stripes = 0;
  {
    nb::gil_scoped_release free;
    for (std::uint32_t i = 0; i < count; ++i) {
      Command command;
      stripes += flow.next(command).stripes;
      std::memcpy(&bytes[std::size_t{i} * kStripe], &command, sizeof command);
    }
  }
  return nb::make_tuple(nb::bytes(bytes.data(), bytes.size()), stripes * kStripe);
}

nb::dict latency_of(const LoadClient& client) {
  const Histogram::Counts latency = client.latency.counts();
  nb::dict out;
  out["count"] = latency.count();
  out["most_ns"] = latency.most();
  nb::list points;  // (parts of a million, ns), close together where it matters
  for (const std::uint64_t part :
       std::array<std::uint64_t, 21>{10'000,  50'000,  100'000, 200'000, 300'000, 400'000, 500'000,
                                     600'000, 700'000, 750'000, 800'000, 850'000, 900'000, 950'000,
                                     975'000, 990'000, 995'000, 999'000, 999'500, 999'900, 999'990})
    points.append(nb::make_tuple(part, latency.at(part)));
  out["points"] = points;
  return out;
}

nb::dict last_run(const LoadClient& client) {
  nb::dict out;
  const Histogram::Counts latency = client.last_run.counts();
  for (const auto& [name, part] :
       {std::pair{"p50_ns", 500'000}, {"p99_ns", 990'000}, {"p999_ns", 999'000}})
    out[name] = latency.at(static_cast<std::uint64_t>(part));
  return out;
}

nb::dict report(const LoadClient& client) {
  nb::dict out = latency_of(client);
  out["measured"] = client.measured;
  out["queued_ns"] = client.queued_ns;
  out["busy_seconds"] = client.busy_seconds;
  out["sent"] = client.sent;
  out["acknowledged"] = client.acknowledged;
  out["frames"] = client.frames;
  out["bytes_out"] = client.bytes_out;
  out["bytes_in"] = client.bytes_in;
  out["trades"] = client.flow().book().trades();
  out["volume_lots"] = client.flow().book().volume();
  out["resting"] = client.flow().book().resting();
  return out;
}

nb::dict echo(const std::string& socket_path, const std::string& folder, bool fsync) {
  EchoCounts counts;
  {
    nb::gil_scoped_release free;
    counts = serve_echo(socket_path, folder, fsync);
  }
  nb::dict out;
  out["commands"] = counts.commands;
  out["bytes_in"] = counts.bytes_in;
  out["bytes_out"] = counts.bytes_out;
  out["syncs"] = counts.syncs;
  return out;
}

}  // namespace

void bind_load(nb::module_& m) {
  m.def("load_scenarios", &scenario_list);
  m.def(
      "hurry_this_thread",
      [](bool answers) {
        const auto rank = answers ? server::Rank::kAnswers : server::Rank::kHelper;
        return server::name_of(server::hurry_this_thread(rank));
      },
      nb::kw_only(), nb::arg("answers"));
  m.def("serve_echo", &echo, nb::arg("socket_path"), nb::arg("folder"), nb::arg("fsync"));
  nb::class_<Flow>(m, "LoadFlow")
      .def(nb::init<const std::string&, std::uint64_t, std::uint64_t>(), nb::arg("scenario"),
           nb::arg("seed"), nb::arg("run"))
      .def("take", &take, nb::arg("count"))
      .def_prop_ro("opening_quotes", &Flow::opening_quotes)
      .def_prop_ro("commands", &Flow::commands)
      .def_prop_ro("trades", [](const Flow& flow) { return flow.book().trades(); })
      .def_prop_ro("volume_lots", [](const Flow& flow) { return flow.book().volume(); })
      .def_prop_ro("resting", [](const Flow& flow) { return flow.book().resting(); });
  nb::class_<LoadClient>(m, "LoadClient")
      .def(
          "__init__",
          [](LoadClient* self, const std::string& socket_path, nb::bytes hello, const Flow& flow,
             bool announce) {
            new (self)
                LoadClient(socket_path, std::string(hello.c_str(), hello.size()), flow, announce);
          },
          nb::arg("socket_path"), nb::arg("hello"), nb::arg("flow"), nb::arg("announce"))
      .def("open_book", &LoadClient::open_book, Unlocked())
      .def("run_open", &LoadClient::run_open, nb::arg("rate"), nb::arg("seconds"), Unlocked())
      .def("run_window", &LoadClient::run_window, nb::arg("seconds"), nb::arg("window"),
           nb::arg("frame"), Unlocked())
      .def("last_run", &last_run)
      .def("report", &report);
}

}  // namespace rialto
