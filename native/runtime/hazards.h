#pragma once

#include "runtime/program.h"

namespace limo {

// Proves that operations of different queues which may run at the same time touch no byte together, unless both only read it. An
// operation runs after the one before it in its queue and after those that it waits for, and after what these ran after. Throws
// kProgramInvalid naming both operations and operands.
void check_hazards(const Program& program);

}  // namespace limo
