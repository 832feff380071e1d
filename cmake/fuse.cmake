# SPDX-License-Identifier: MIT
# libfuse: the private static library that scripts/deps builds where the distribution's lacks
# io_uring, or the distribution's. Target agentfs_libfuse; one source serves 3.14 to 3.18. Beside the
# private one agentfs_system_libfuse is the distribution's, for a program that the tests mount, too.
set(AGENTFS_FUSE auto CACHE STRING "Which libfuse: auto, private (build/fuse) or system")
set_property(CACHE AGENTFS_FUSE PROPERTY STRINGS auto private system)
if(NOT AGENTFS_FUSE MATCHES "^(auto|private|system)$")
  message(FATAL_ERROR "AGENTFS_FUSE: no such choice (${AGENTFS_FUSE}); auto, private, system are")
endif()

find_file(private_fuse_pc fuse3.pc NO_DEFAULT_PATH NO_CACHE
  PATHS ${CMAKE_BINARY_DIR}/../fuse/install ${CMAKE_SOURCE_DIR}/build/fuse/install
  PATH_SUFFIXES lib/pkgconfig)
if(AGENTFS_FUSE STREQUAL "private" AND NOT private_fuse_pc)
  message(FATAL_ERROR "build/fuse holds no library; `scripts/deps fuse` builds it")
endif()

add_library(agentfs_libfuse INTERFACE)
if(private_fuse_pc AND NOT AGENTFS_FUSE STREQUAL "system")
  cmake_path(GET private_fuse_pc PARENT_PATH private_fuse_folder)
  set(kept_pkg_config_path "$ENV{PKG_CONFIG_PATH}")
  set(ENV{PKG_CONFIG_PATH} "${private_fuse_folder}")
  # Asked afresh each time: the cache may hold what the other library said.
  unset(private_fuse_FOUND CACHE)
  unset(__pkg_config_checked_private_fuse CACHE)
  pkg_check_modules(private_fuse REQUIRED fuse3>=3.14)
  set(ENV{PKG_CONFIG_PATH} "${kept_pkg_config_path}")
  target_include_directories(agentfs_libfuse SYSTEM INTERFACE ${private_fuse_STATIC_INCLUDE_DIRS})
  target_link_libraries(agentfs_libfuse INTERFACE ${private_fuse_STATIC_LDFLAGS})
  message(STATUS "libfuse ${private_fuse_VERSION}, private")
  pkg_check_modules(fuse3 REQUIRED IMPORTED_TARGET fuse3>=3.14)
  add_library(agentfs_system_libfuse INTERFACE)
  target_link_libraries(agentfs_system_libfuse INTERFACE PkgConfig::fuse3)
else()
  pkg_check_modules(fuse3 REQUIRED IMPORTED_TARGET fuse3>=3.14)
  target_link_libraries(agentfs_libfuse INTERFACE PkgConfig::fuse3)
  message(STATUS "libfuse ${fuse3_VERSION}, of the system")
endif()
