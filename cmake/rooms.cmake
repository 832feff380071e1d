# SPDX-License-Identifier: MIT
# A room is a folder under src/ built as one static library.

add_library(agentfs_options INTERFACE)
target_include_directories(agentfs_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(agentfs_options INTERFACE
  _GNU_SOURCE _FILE_OFFSET_BITS=64 AGENTFS_VERSION="${PROJECT_VERSION}"
  $<$<CONFIG:Debug>:AGENTFS_CHECK_LOCK_RANKS>)
target_compile_options(agentfs_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(agentfs_options INTERFACE -Wthread-safety -Wthread-safety-beta)
endif()
if(AGENTFS_SANITIZE)
  # Reports need lines and no variables.
  target_compile_options(agentfs_options INTERFACE
    -fsanitize=${AGENTFS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  target_link_options(agentfs_options INTERFACE -fsanitize=${AGENTFS_SANITIZE})
endif()
target_link_libraries(agentfs_options INTERFACE Threads::Threads)

find_program(AGENTFS_MOLD mold)
if(AGENTFS_MOLD)
  target_link_options(agentfs_options INTERFACE -fuse-ld=mold)
endif()
find_program(AGENTFS_CCACHE ccache)
if(AGENTFS_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${AGENTFS_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      ${AGENTFS_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(agentfs_options INTERFACE
      $<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>)
  else()
    target_compile_options(agentfs_options INTERFACE -fpch-preprocess)
  endif()
endif()

# What most sources include: the tests precompile it once more, with Catch2.
set(AGENTFS_PRECOMPILED <algorithm> <array> <atomic> <chrono> <cstdint> <expected> <filesystem>
  <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view> <unordered_map>
  <utility> <vector> <fmt/format.h>)
set(AGENTFS_PRECOMPILED_FOR_TESTS ${CMAKE_SOURCE_DIR}/tests/catch.h)
# Such builds are made whole, several sources at a time: what a header costs is paid once for all of
# those. Any other build finds who includes too little. What is named alike in several sources by
# design stands alone (agentfs_apart), as do the sources of the targets in AGENTFS_APART, which
# scripts/test sets where some are named alike unawares.
set(AGENTFS_APART "" CACHE STRING "Targets of which such builds make one source at a time")
if(AGENTFS_SANITIZE OR AGENTFS_TOGETHER)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 16)
  foreach(header kernel/kernel fs/vfs/file_system fs/vfs/data_guard fs/vfs/data_tree)
    list(APPEND AGENTFS_PRECOMPILED ${CMAKE_SOURCE_DIR}/src/${header}.h)
  endforeach()
  list(APPEND AGENTFS_PRECOMPILED_FOR_TESTS ${CMAKE_SOURCE_DIR}/tests/support/tree_world.h)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(agentfs_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fpch-instantiate-templates>)
  endif()
endif()

if(AGENTFS_TOGETHER AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The one is wrong the more often the more is inlined; the other takes each source for a header.
  target_compile_options(agentfs_options INTERFACE -Wno-maybe-uninitialized -Wno-subobject-linkage)
endif()
function(agentfs_apart)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# agentfs_room(FOLDER [ROOMS folders it may link] [USES third-party targets])
function(agentfs_room folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ROOMS;USES")
  string(REPLACE "/" "_" name ${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cpp)
  if(folder STREQUAL "kernel")
    file(GLOB calls CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernel/syscalls/*.cpp)
    list(APPEND sources ${calls})
  endif()
  # Tables of rows: kRows, kFiles.
  if(folder STREQUAL "fs/tree")
    agentfs_apart(${sources})
  else()
    file(GLOB folds ${CMAKE_SOURCE_DIR}/src/${folder}/fold_*.cpp)
    agentfs_apart(${folds})
  endif()
  if(NOT sources)
    add_library(agentfs_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(agentfs_${name} STATIC ${sources})
    set(scope PUBLIC)
    if(folder STREQUAL "base")
      target_precompile_headers(agentfs_${name} PRIVATE ${AGENTFS_PRECOMPILED})
    else()
      target_precompile_headers(agentfs_${name} REUSE_FROM agentfs_base)
    endif()
  endif()
  target_link_libraries(agentfs_${name} ${scope} agentfs_options)
  foreach(room IN LISTS arg_ROOMS)
    string(REPLACE "/" "_" room ${room})
    target_link_libraries(agentfs_${name} ${scope} agentfs_${room})
  endforeach()
  target_link_libraries(agentfs_${name} ${scope} ${arg_USES})
endfunction()

function(agentfs_programs)
  file(GLOB helper CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backends/exec/inside/*.cpp)
  if(helper)
    # It links no room: what it shares with them stands alone.
    add_executable(agentfs-sandbox ${helper} ${CMAKE_SOURCE_DIR}/src/base/landlock.cpp)
    target_link_libraries(agentfs-sandbox PRIVATE agentfs_options PkgConfig::seccomp)
  endif()
  file(GLOB committer CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backends/git/inside/*.cpp)
  if(committer)
    add_executable(agentfs-commit ${committer})
    target_link_libraries(agentfs-commit PRIVATE agentfs_options agentfs_backends_git agentfs_base)
  endif()
  file(GLOB announcer CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/fs/fuse/inside/*.cpp)
  if(announcer)
    add_executable(agentfs-announce ${announcer})
    target_link_libraries(agentfs-announce PRIVATE agentfs_options)
  endif()
  file(GLOB command CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*.cpp)
  if(command)
    add_library(agentfs_command OBJECT ${command})
    target_link_libraries(agentfs_command PUBLIC agentfs_options agentfs_base agentfs_fcp
      agentfs_backends_memory agentfs_backends_segments agentfs_backends_sqlite
      agentfs_backends_blobs agentfs_backends_compare agentfs_backends_git
      agentfs_backends_trees agentfs_backends_past agentfs_backends_imports agentfs_backends_http
      agentfs_backends_script agentfs_backends_exec agentfs_kernel agentfs_agents agentfs_fs_vfs
      agentfs_fs_tree agentfs_fs_services CLI11::CLI11)
    add_executable(agentfs)
    target_link_libraries(agentfs PRIVATE agentfs_command agentfs_fs_fuse)
  endif()
  if(command AND AGENTFS_TESTS AND TARGET agentfs_system_libfuse AND NOT AGENTFS_SANITIZE)
    agentfs_program_of_system_libfuse()
  endif()
endfunction()

# The same program with the distribution's libfuse, in system-libfuse/ beside its helpers.
function(agentfs_program_of_system_libfuse)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/fs/fuse/*.cpp)
  add_executable(agentfs-system-libfuse ${sources})
  target_precompile_headers(agentfs-system-libfuse REUSE_FROM agentfs_base)
  target_link_libraries(agentfs-system-libfuse PRIVATE agentfs_command agentfs_system_libfuse)
  set(folder ${CMAKE_BINARY_DIR}/system-libfuse)
  set_target_properties(agentfs-system-libfuse PROPERTIES
    OUTPUT_NAME agentfs RUNTIME_OUTPUT_DIRECTORY ${folder})
  foreach(helper agentfs-sandbox agentfs-commit agentfs-announce)
    add_custom_command(TARGET agentfs-system-libfuse POST_BUILD
      COMMAND ${CMAKE_COMMAND} -E create_symlink ../${helper} ${folder}/${helper})
  endforeach()
endfunction()
