// SPDX-License-Identifier: MIT
// The specification of one command, as agentfs-sandbox reads it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/exec/inside/protocol.h"

namespace agentfs::exec {

struct OverlaySpec {
  std::string inside;  // empty: there is none
  std::string lower;
  std::string upper;
  std::string work;
};

struct Spec {
  std::string command;
  std::string directory;
  std::vector<std::string> environment;
  std::vector<std::string> writable;
  bool network = false;
  long long address_space = 0;  // 0: no limit, here and below
  long long processes = 0;
  long long file_bytes = 0;
  std::vector<unsigned> user;  // uid, gid, supplementary groups; empty: stay who one is
  OverlaySpec overlay;
  std::vector<std::string> thread_groups;
  std::string unified_group;
  std::vector<std::string> group_settings;
};

// Reads kSpecFd from its start; ends the program where that fails.
Spec read_spec();

// Tells the daemon, and ends the program: `what` and the errno that has just been set.
[[noreturn]] void fail_with(const std::string& what);
[[noreturn]] void fail_with(const std::string& what, int code);
void send_message(Message kind, std::string_view text);

}  // namespace agentfs::exec
