// SPDX-License-Identifier: MIT
// One line of the journal: something that happened, who did it, and its place in the chain.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/json.h"

namespace agentfs {

// Who did it, as the journal keeps it.
struct Author {
  std::vector<ProcessId> lineage{};  // the process, its parent, … up to the init process
  std::string user{};                // name of the user at the end of the lineage
  std::int64_t host_pid = 0;
  std::string command{};
  std::string path{};  // control file that the request came through
  std::string via{};   // "call:3" for the third tool call of the process
};

// Line format (one JSON object, members in this order; members that are empty are left out):
//   {"seq":7,"time":"2026-…Z","kind":"process.spawn","by":[7,1],"user":"root","host_pid":812,
//    "command":"bash","file":"/proc/clone","via":"","data":{…},"prev":"<64 hex>","hash":"<64 hex>"}
// hash = BLAKE2b-256 of the line's bytes before `,"hash"`; prev = the hash of the line before
// (64 zeros for the first). Times are UTC with nanoseconds kept in data where they matter.
struct Record {
  Sequence sequence{};
  std::int64_t time = 0;  // wall clock, nanoseconds
  std::string kind{};     // "<noun>.<verb>"
  Author author{};
  json::Value data{};
};

// "time" with so many digits of the second's fraction, and "by", as all lines have them.
void write_time(json::ObjectWriter& line, std::int64_t wall, unsigned digits);
void write_lineage(json::ObjectWriter& line, const Author& author);

}  // namespace agentfs
