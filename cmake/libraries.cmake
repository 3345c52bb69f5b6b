# Every library from a Debian package, found once. `./dev setup` installs them.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(simdjson REQUIRED)
find_package(cxxopts REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
find_package(Catch2 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(date REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(mimalloc 2.0 REQUIRED)
pkg_check_modules(httplib REQUIRED IMPORTED_TARGET cpp-httplib)

# The build of Lua whose errors are C++ exceptions: a longjmp would skip destructors.
find_path(LUA_INCLUDE lua.h PATH_SUFFIXES lua5.4 REQUIRED)
find_library(LUA_LIBRARY liblua5.4-c++.a REQUIRED)
add_library(taskd_lua_library INTERFACE)
target_include_directories(taskd_lua_library SYSTEM INTERFACE ${LUA_INCLUDE})
target_link_libraries(taskd_lua_library INTERFACE ${LUA_LIBRARY} ${CMAKE_DL_LIBS})

find_path(ASIO_INCLUDE asio.hpp REQUIRED)
find_library(HTTP_PARSER http_parser REQUIRED)

# Compiled once in src/io/asio.cpp; everything else sees declarations only.
add_library(taskd_asio INTERFACE)
target_include_directories(taskd_asio SYSTEM INTERFACE ${ASIO_INCLUDE})
target_compile_definitions(taskd_asio INTERFACE
    ASIO_STANDALONE ASIO_SEPARATE_COMPILATION ASIO_NO_DEPRECATED)

# The judge of our own HTTP parser in the tests.
add_library(taskd_http_parser INTERFACE)
target_link_libraries(taskd_http_parser INTERFACE ${HTTP_PARSER})

add_library(taskd_httplib INTERFACE)
target_link_libraries(taskd_httplib INTERFACE PkgConfig::httplib Threads::Threads)

# Takes the place of the C library's allocator in what ships: a third more submits a second. The
# sanitizers bring one of their own.
add_library(taskd_allocator INTERFACE)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_link_libraries(taskd_allocator INTERFACE mimalloc)
endif()
