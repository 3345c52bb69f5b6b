# taskd_layer(NAME [USES layer...] [LIBRARIES target...]): the static library of src/NAME.
add_library(taskd_options INTERFACE)
target_include_directories(taskd_options INTERFACE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_options(taskd_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror=return-type
    $<$<CXX_COMPILER_ID:GNU>:-Wno-missing-field-initializers>
    $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-designated-field-initializers>)

# The standard headers that nearly every file includes, compiled once for each library: half of what
# a small file takes to build.
function(taskd_precompile TARGET)
    target_precompile_headers(${TARGET} PRIVATE
        <algorithm> <array> <chrono> <cstdint> <deque> <expected> <functional> <map> <memory>
        <optional> <set> <span> <string> <string_view> <unordered_map> <utility> <variant> <vector>
        ${ARGN})
endfunction()

function(taskd_layer NAME)
    cmake_parse_arguments(LAYER "" "" "USES;LIBRARIES" ${ARGN})
    file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${NAME}/*.cpp)
    if(SOURCES)
        add_library(taskd_${NAME} STATIC ${SOURCES})
        taskd_precompile(taskd_${NAME})
        set(SCOPE PUBLIC)
    else()
        add_library(taskd_${NAME} INTERFACE)
        set(SCOPE INTERFACE)
    endif()
    target_link_libraries(taskd_${NAME} ${SCOPE} taskd_options ${LAYER_LIBRARIES})
    foreach(USED ${LAYER_USES})
        target_link_libraries(taskd_${NAME} ${SCOPE} taskd_${USED})
    endforeach()
endfunction()
