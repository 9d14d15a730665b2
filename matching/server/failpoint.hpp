// Named places at which a test lets the process die: `matching/failpoint.py` on this side.
#pragma once

namespace rialto::server {

// Kills this process with SIGKILL at the nth passage of the failpoint that RIALTO_FAILPOINT names.
void hit(const char* name);

}  // namespace rialto::server
