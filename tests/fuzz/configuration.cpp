// SPDX-License-Identifier: MIT
// Any bytes as a document of settings: refused with EBADMSG, or settings.
#include <cstdint>
#include <cstdlib>

#include "kernel/document.h"
#include "kernel/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace agentfs;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* path :
       {"models/x.toml", "devices/local.toml", "profiles/x/profile.toml", "agentfs.toml"}) {
    const auto values = parse_document(path, text);
    if (!values && values.error().code != EBADMSG) std::abort();
    if (!values) continue;
    (void)model_settings("x", *values);
    (void)device_settings(*values);
    (void)profile_settings(*values);
    (void)kernel_settings(*values);
  }
  const auto limits = parse_limits(text);
  if (limits && !parse_limits(show(*limits))) std::abort();
  return 0;
}
