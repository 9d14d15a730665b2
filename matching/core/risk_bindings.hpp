// Adds the risk formulas to the native module, for the tests that hold them against domain/.
#pragma once

#include <nanobind/nanobind.h>

namespace rialto {

void bind_risk_formulas(nanobind::module_& m);

}  // namespace rialto
