# taskd_layer(NAME [USES layer...] [LIBRARIES target...]): the static library of src/NAME.
add_library(taskd_options INTERFACE)
target_include_directories(taskd_options INTERFACE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_options(taskd_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror=return-type
    $<$<CXX_COMPILER_ID:GNU>:-Wno-missing-field-initializers>
    $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-designated-field-initializers>)

function(taskd_layer NAME)
    cmake_parse_arguments(LAYER "" "" "USES;LIBRARIES" ${ARGN})
    file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${NAME}/*.cpp)
    if(SOURCES)
        add_library(taskd_${NAME} STATIC ${SOURCES})
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
