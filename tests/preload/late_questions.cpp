// SPDX-License-Identifier: MIT
// Of tests/mount/dead_daemons.py: preloaded into the daemon and its watcher, it has each question
// whether a mount answers come two seconds late for as long as the file $LATE_QUESTIONS is there,
// as on a machine that lets nobody run: who asks does not sleep meanwhile.
#include <dlfcn.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

extern "C" int statvfs64(const char* path, struct statvfs64* found) {
  using Statvfs = int (*)(const char*, struct statvfs64*);
  static const auto next = reinterpret_cast<Statvfs>(::dlsym(RTLD_NEXT, "statvfs64"));
  const char* const flag = std::getenv("LATE_QUESTIONS");
  const auto start = std::chrono::steady_clock::now();
  while (flag != nullptr && ::access(flag, F_OK) == 0 &&
         std::chrono::steady_clock::now() - start < std::chrono::seconds(2)) {
  }
  return next(path, found);
}
