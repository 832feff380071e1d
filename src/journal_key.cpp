// SPDX-License-Identifier: MIT
#include "journal_key.h"

#include "base/file.h"
#include "base/hash.h"

namespace agentfs {

Result<std::string> mend_journal_key(const StateDirectory& state, const Quarantine& quarantine) {
  const std::string path = state.file(kJournalKey);
  if (!file::exists(path)) return std::string();
  const auto key = SigningKey::ensure(path);
  if (key) return std::string();
  if (key.error().code != EBADMSG) return std::unexpected(key.error());
  const auto mended = SigningKey::mended(TRY(file::read(path)));
  const std::string kept = TRY(quarantine.take(kJournalKey));
  if (mended) {
    TRY(file::replace(path, *mended, 0600));
    return fmt::format(
        "{}; one bit of it was flipped, which its two halves tell; it is as it was, "
        "and the damaged one is in {}",
        key.error().message, kept);
  }
  return fmt::format(
      "{}; it is in {} now, and a new one signs from here on (a copy of the old one, put back "
      "before "
      "the next mount, would go on)",
      key.error().message, kept);
}

}  // namespace agentfs
