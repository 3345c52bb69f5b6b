// Whether a person sits in front.
#pragma once

namespace taskd::io {

bool is_terminal(int descriptor);

// The terminal of stderr has hung up: its window was closed, its line dropped.
bool terminal_is_gone();

}  // namespace taskd::io
