# What `cmake --install` puts under a prefix: the executable, and the C++ client as a package that
# find_package(taskd) finds, with the target taskd::client.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS taskd RUNTIME COMPONENT taskd)

# The layers as they are built for the executable; of service and io what a client needs.
string(JOIN "|" OF_SERVICE task_client log_sender add_key)
string(JOIN "|" OF_IO asio loop clock entropy lane memory private_files exchange blocking_client
    tcp_received)
add_library(taskd_client_package STATIC
    $<TARGET_OBJECTS:taskd_base> $<TARGET_OBJECTS:taskd_model> $<TARGET_OBJECTS:taskd_protocol>
    $<TARGET_OBJECTS:taskd_port> $<TARGET_OBJECTS:taskd_client>
    "$<FILTER:$<TARGET_OBJECTS:taskd_service>,INCLUDE,/(${OF_SERVICE})[.]cpp[.]o$>"
    "$<FILTER:$<TARGET_OBJECTS:taskd_io>,INCLUDE,/(${OF_IO})[.]cpp[.]o$>")
set_target_properties(taskd_client_package PROPERTIES
    OUTPUT_NAME taskd_client EXPORT_NAME client LINKER_LANGUAGE CXX
    ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/package)
target_compile_features(taskd_client_package INTERFACE cxx_std_23)
target_link_libraries(taskd_client_package INTERFACE
    fmt::fmt simdjson::simdjson OpenSSL::Crypto PkgConfig::httplib Threads::Threads)

install(TARGETS taskd_client_package EXPORT taskd ARCHIVE COMPONENT client
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES include/taskd/client.hpp include/taskd/worker.hpp
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/taskd COMPONENT client)
install(FILES include/taskd/base/error.hpp include/taskd/base/error_table.inc
    include/taskd/base/result.hpp
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/taskd/base COMPONENT client)
set(PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/taskd)
install(EXPORT taskd FILE taskdTargets.cmake NAMESPACE taskd:: DESTINATION ${PACKAGE_DIR}
    COMPONENT client)
configure_package_config_file(cmake/taskdConfig.cmake.in
    ${CMAKE_BINARY_DIR}/package/taskdConfig.cmake INSTALL_DESTINATION ${PACKAGE_DIR})
# Before 1.0 a minor version may break what was there.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/taskdConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/taskdConfig.cmake
    ${CMAKE_BINARY_DIR}/package/taskdConfigVersion.cmake
    DESTINATION ${PACKAGE_DIR} COMPONENT client)
