# taskd_embed(TARGET FILE HEADER FUNCTION): compiles a file into TARGET as a std::string_view that
# FUNCTION, declared in HEADER with its namespace, hands out.
function(taskd_embed TARGET FILE HEADER FUNCTION)
    get_filename_component(NAME ${FILE} NAME_WE)
    set(OUT ${CMAKE_BINARY_DIR}/generated/${NAME}_embedded.cpp)
    add_custom_command(OUTPUT ${OUT}
        COMMAND ${CMAKE_COMMAND} -DIN=${FILE} -DOUT=${OUT} -DHEADER=${HEADER}
            -DFUNCTION=${FUNCTION} -P ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake
        DEPENDS ${FILE} ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake)
    target_sources(${TARGET} PRIVATE ${OUT})
endfunction()
