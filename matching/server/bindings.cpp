// The server as a Python class; `matching/native.py` is its only user.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <tuple>

#include "blake2b.hpp"
#include "block_run.hpp"
#include "crc32.hpp"
#include "module.hpp"
#include "server.hpp"

namespace nb = nanobind;

namespace rialto::server {

namespace {

nb::bytes as_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

Digest16 digest_of(nb::bytes bytes) {
  Digest16 digest;
  if (bytes.size() != digest.size()) throw std::invalid_argument("16 bytes are wanted");
  std::memcpy(digest.data(), bytes.c_str(), digest.size());
  return digest;
}

template <typename Value>
Value item(const nb::dict& from, const char* name) {
  return nb::cast<Value>(from[name]);
}

JournalEnd journal_end(const nb::dict& from) {
  return {
      item<std::string>(from, "segment"),         item<std::uint64_t>(from, "offset"),
      item<std::uint64_t>(from, "last_sequence"), digest_of(item<nb::bytes>(from, "chain")),
      item<std::uint64_t>(from, "epoch"),         digest_of(item<nb::bytes>(from, "journal_id")),
      item<std::uint32_t>(from, "shard"),         item<std::size_t>(from, "segment_bytes")};
}

using FileLine =
    std::tuple<std::string, std::uint64_t, std::vector<std::pair<std::uint64_t, std::uint64_t>>>;

EventLogEnd event_log_end(const nb::dict& from) {
  const auto head = item<nb::bytes>(from, "head");
  EventLogEnd end{std::string(head.c_str(), head.size()),
                  item<std::size_t>(from, "file_bytes"),
                  item<std::uint64_t>(from, "last_sequence"),
                  {}};
  for (auto& [name, size, marks] : item<std::vector<FileLine>>(from, "files"))
    end.files.push_back({name, size, marks});
  return end;
}

using RoleLine = std::tuple<std::size_t, std::string, std::vector<std::uint8_t>>;

LoopOptions loop_options(const nb::dict& from) {
  LoopOptions options{
      item<std::uint32_t>(from, "shard"),
      item<std::uint64_t>(from, "build_id"),
      item<std::uint16_t>(from, "schema"),
      item<std::string>(from, "ack_policy") == "os" ? AckPolicy::kOs : AckPolicy::kFsync,
      item<bool>(from, "hurry"),
      {item<std::uint64_t>(from, "handshake_ns"),
       item<std::uint64_t>(from, "hurried_handshake_ns"), item<std::uint32_t>(from, "max_in_flight"),
       item<std::uint64_t>(from, "max_unsent_bytes"), item<std::uint32_t>(from, "max_connections"),
       item<std::uint32_t>(from, "commands_per_group"), item<std::uint64_t>(from, "busy_poll_ns")},
      {}};
  for (const auto& [role, token, opcodes] : item<std::vector<RoleLine>>(from, "roles")) {
    RoleRights& rights = options.roles.at(role);
    rights.token = token;
    for (const std::uint8_t opcode : opcodes) rights.opcodes.set(opcode);
  }
  return options;
}

// Python's view: what may block lets the interpreter go.
class PyServer {
 public:
  PyServer(std::shared_ptr<SharedEngine> engine, const std::string& root, const nb::dict& journal,
           const nb::dict& events, const nb::dict& options)
      : server_(std::move(engine), root, journal_end(journal), event_log_end(events),
                loop_options(options)) {}

  void start() { server_.start(); }
  void stop() {
    nb::gil_scoped_release free;
    server_.stop();
  }

  void listen(int fd) { server_.mailbox().listen(fd); }
  void stop_reading() { wish(server_.mailbox().wishes.stop_reading); }
  void drain() { wish(server_.mailbox().wishes.drain); }
  void close() { wish(server_.mailbox().wishes.close); }
  bool drained() { return server_.mailbox().drained; }
  bool closed() { return server_.mailbox().closed; }
  std::uint32_t connections() { return server_.mailbox().connections; }

  int bell() { return server_.mailbox().to_python.fd(); }
  void quiet() { server_.mailbox().to_python.quiet(); }

  void submit(std::uint64_t ticket, int role, nb::bytes commands) {
    server_.mailbox().submit({ticket, role, std::string(commands.c_str(), commands.size())});
  }

  std::vector<std::pair<std::uint64_t, nb::bytes>> take_answers() {
    std::vector<std::pair<std::uint64_t, nb::bytes>> out;
    for (const Answered& answer : server_.mailbox().take_answers())
      out.emplace_back(answer.ticket, as_bytes(answer.events));
    return out;
  }

  std::vector<std::pair<int, std::string>> take_closed() {
    std::vector<std::pair<int, std::string>> out;
    for (const ClosedConnection& closed : server_.mailbox().take_closed())
      out.emplace_back(closed.fault, closed.text);
    return out;
  }

  nb::object failure() {
    if (!server_.mailbox().failed()) return nb::none();
    const Failure failure = server_.mailbox().failure();
    return nb::make_tuple(static_cast<int>(failure.fault), failure.text);
  }

  std::uint64_t sequence() { return server_.sequence(); }
  std::uint64_t durable_sequence() { return server_.durable_sequence(); }
  std::uint64_t acknowledged_sequence() { return server_.acknowledged_sequence(); }
  bool await_readable(std::uint64_t sequence) { return server_.await_readable(sequence); }

  nb::object read_events(std::uint64_t after, std::size_t limit, std::uint64_t up_to) {
    std::optional<EventRange> range;
    {
      nb::gil_scoped_release free;
      range = server_.events().read(after, limit, up_to);
    }
    if (!range) return nb::none();
    return nb::make_tuple(range->first, range->last, as_bytes(range->data));
  }

  std::uint64_t first_event() { return server_.events().first_sequence(); }
  std::uint64_t last_event() { return server_.events().last_sequence(); }
  unsigned drop_events_before(std::uint64_t sequence) {
    return server_.events().drop_before(sequence);
  }

  std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>
  service_times() {
    const Histogram::Counts found = server_.times().service.counts();
    return {found.count(), found.at(500'000), found.at(990'000), found.at(999'000), found.most()};
  }

  // (stalls by work, the thread's priority, its usage).
  nb::tuple loop_times() {
    const LoopTimes& times = server_.times();
    nb::list stalls;
    for (const Stall& stall : times.stalls.told())
      stalls.append(nb::make_tuple(stall.count, stall.total_ns, stall.longest_ns));
    return nb::make_tuple(stalls, name_of(times.priority), times.queued_ns.load(),
                          times.pushed_aside.load(), times.page_faults.load());
  }

  void reset_service_times() {
    server_.times().service.forget();
    server_.times().stalls.forget();
  }

 private:
  void wish(std::atomic<bool>& what) {
    what = true;
    server_.mailbox().to_loop.ring();
  }

  Server server_;
};

// Returns (end, next sequence, blocks, epoch, durable sequence, chain, payloads).
nb::tuple read_blocks_of(nb::bytes data, std::size_t offset, std::uint64_t next_sequence,
                         std::uint64_t epoch, nb::bytes chain, std::size_t most_bytes) {
  const Digest16 before = digest_of(chain);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(data.c_str());
  const std::size_t size = data.size();
  BlockRun run;
  {
    nb::gil_scoped_release free;
    run = read_blocks(bytes, size, offset, next_sequence, epoch, before, most_bytes);
  }
  PyObject* payload =
      PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(run.payload_bytes));
  if (payload == nullptr) throw nb::python_error();
  copy_payloads(run, bytes, reinterpret_cast<std::uint8_t*>(PyBytes_AS_STRING(payload)));
  return nb::make_tuple(run.end, run.next_sequence, run.blocks.size(), run.epoch,
                        run.durable_sequence, nb::bytes(run.chain.data(), run.chain.size()),
                        nb::steal<nb::bytes>(payload));
}

}  // namespace

void bind_server(nb::module_& m) {
  m.def("blake2b16", [](nb::bytes data) {
    const Digest16 digest = blake2b16(data.c_str(), data.size());
    return nb::bytes(digest.data(), digest.size());
  });
  m.def("crc32",
        [](nb::bytes data, std::uint32_t crc) { return crc32(data.c_str(), data.size(), crc); });
  nb::exception<NotRetained>(m, "NotRetained", PyExc_LookupError);
  static nb::exception<EngineFault> engine_fault(m, "EngineFault", PyExc_RuntimeError);
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const EngineFault& error) {
      PyErr_SetObject(engine_fault.ptr(),
                      nb::make_tuple(static_cast<int>(error.fault), error.what()).ptr());
    } catch (const FileError& error) {
      PyErr_SetString(PyExc_OSError, error.what());
    }
  });
  m.def("read_blocks", &read_blocks_of, nb::arg("data"), nb::arg("offset"),
        nb::arg("next_sequence"), nb::arg("epoch"), nb::arg("chain"), nb::arg("most_bytes"));
  nb::class_<PyServer>(m, "Server")
      .def(nb::init<std::shared_ptr<SharedEngine>, const std::string&, const nb::dict&,
                    const nb::dict&, const nb::dict&>(),
           nb::arg("engine"), nb::arg("root"), nb::arg("journal"), nb::arg("events"),
           nb::arg("options"))
      .def("start", &PyServer::start)
      .def("stop", &PyServer::stop)
      .def("listen", &PyServer::listen)
      .def("stop_reading", &PyServer::stop_reading)
      .def("drain", &PyServer::drain)
      .def("close", &PyServer::close)
      .def_prop_ro("drained", &PyServer::drained)
      .def_prop_ro("closed", &PyServer::closed)
      .def_prop_ro("connections", &PyServer::connections)
      .def_prop_ro("bell", &PyServer::bell)
      .def("quiet", &PyServer::quiet)
      .def("submit", &PyServer::submit)
      .def("take_answers", &PyServer::take_answers)
      .def("take_closed", &PyServer::take_closed)
      .def("failure", &PyServer::failure)
      .def_prop_ro("sequence", &PyServer::sequence)
      .def_prop_ro("durable_sequence", &PyServer::durable_sequence)
      .def_prop_ro("acknowledged_sequence", &PyServer::acknowledged_sequence)
      .def("await_readable", &PyServer::await_readable)
      .def("read_events", &PyServer::read_events)
      .def_prop_ro("first_event", &PyServer::first_event)
      .def_prop_ro("last_event", &PyServer::last_event)
      .def("drop_events_before", &PyServer::drop_events_before)
      .def("service_times", &PyServer::service_times)
      .def("loop_times", &PyServer::loop_times)
      .def("reset_service_times", &PyServer::reset_service_times);
}

}  // namespace rialto::server
