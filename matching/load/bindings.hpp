// Adds the load client, its flows and the echo to the native module.
#pragma once

#include <nanobind/nanobind.h>

namespace rialto {

void bind_load(nanobind::module_& m);

}  // namespace rialto
