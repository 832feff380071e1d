// SPDX-License-Identifier: MIT
#include "backends/git/inflate.h"

#include <dlfcn.h>
#include <zlib.h>

namespace {

constexpr int kMostInARow = 16;

struct Starved {
  const z_stream* stream = nullptr;
  int times = 0;
};
thread_local Starved starved;

}  // namespace

namespace agentfs::git {

// That a program calls it is what brings the function below into it.
void end_starved_streams() { starved = {}; }

}  // namespace agentfs::git

// Found by libgit2 before zlib's own, since the program is looked at first.
extern "C" int inflate(z_stream* stream, int flush) {
  using Inflate = int (*)(z_stream*, int);
  static const auto zlibs = reinterpret_cast<Inflate>(::dlsym(RTLD_NEXT, "inflate"));
  if (zlibs == nullptr) return Z_VERSION_ERROR;
  const bool has_input = stream != nullptr && stream->avail_in != 0;
  const int result = zlibs(stream, flush);
  if (result != Z_BUF_ERROR || has_input) {
    starved = {};
    return result;
  }
  if (starved.stream != stream) starved = {.stream = stream};
  return ++starved.times < kMostInARow ? result : Z_DATA_ERROR;
}
