// SPDX-License-Identifier: MIT
// The files that the records of an import are.
#include "backends/imports/import_records.h"
#include "imported.h"

namespace agentfs::test {

// Of a record that is whole but for what ends its line, and of one that is cut short.
TEST_CASE("Records whose last line has no end are all there, and a look changes nothing") {
  const TemporaryDirectory directory;
  const std::string place = directory.path() + "/1";
  const std::string entries = place + "/entries";
  const FileState state{.mode = 0100644, .inode = 7, .size = 5, .modified = 1, .changed = 1};
  {
    const auto records = must(imports::ImportRecords::create(place, "/there"));
    must(records->append({{"first", state}, {"second", state}}));
  }
  const std::string whole = text_of(entries);
  const std::string cut = whole.substr(0, whole.size() - 1);
  const std::string torn = GENERATE("", "\v", "{\"path\":\"th");
  const bool is_third = torn.size() > 1;
  const std::string text = is_third ? whole + torn : cut + torn;
  put(entries, text);
  const auto records = must(imports::ImportRecords::load(place));
  CHECK(records->count() == 2);
  CHECK(records->torn() == torn.size());
  CHECK(text_of(entries) == text);
  must(records->append({{"third", state}}));
  CHECK(!records->torn());
  const auto again = must(imports::ImportRecords::load(place));
  CHECK(again->count() == 3);
  CHECK(!again->torn());
  CHECK(again->find("third") == 2);
  const auto kept = fmt::format("{}/torn-{}", place, is_third ? whole.size() : cut.size());
  CHECK(text_of(kept) == torn);
}

}  // namespace agentfs::test
