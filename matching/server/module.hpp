// The server as a Python class.
#pragma once

#include <nanobind/nanobind.h>

namespace rialto::server {

void bind_server(nanobind::module_& module);

}  // namespace rialto::server
