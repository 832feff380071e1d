// SPDX-License-Identifier: MIT
// Any bytes as a line of the journal: refused, or a record; a line with a right hash is read back.
#include <cstdint>
#include <cstdlib>

#include "base/hash.h"
#include "kernel/fold.h"
#include "kernel/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace agentfs;
  const std::string line(reinterpret_cast<const char*>(data), size);
  std::string previous;
  std::string hash;
  (void)decode_record(line, previous, hash);
  // The same as the inside of a record whose hash is right.
  const std::string hashed = "{\"seq\":1,\"time\":\"2026-01-01T00:00:00.000000000Z\"," + line +
                             ",\"prev\":\"" + std::string(64, '0') + "\"";
  const auto record =
      decode_record(hashed + ",\"hash\":\"" + blake2b(hashed) + "\"}", previous, hash);
  if (!record) return 0;
  Fold fold;
  json::Value accepted = record->data;
  (void)fold.accept(record->kind, accepted);
  fold.apply(*record);
  if (json::dump(fold.to_json()).empty()) std::abort();
  return 0;
}
