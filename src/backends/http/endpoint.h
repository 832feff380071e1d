// SPDX-License-Identifier: MIT
// Where a model's server is: its address, judged and completed.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace agentfs::http {

struct Endpoint {
  std::string url;        // of the request
  std::string shown;      // "http://host:port", for sentences
  bool loopback = false;  // this machine: never through a proxy
};

// `base_url` with `path` ("/chat/completions") behind its own path, whose final slashes do not
// count; its query stays. EINVAL for what is no http or https address, or holds a user or password.
Result<Endpoint> endpoint(std::string_view base_url, std::string_view path);

}  // namespace agentfs::http
