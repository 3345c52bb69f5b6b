// Lua's own headers, as C++: this library throws its errors, so destructors run.
#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
