// SPDX-License-Identifier: MIT
// A name that is no UTF-8 stood in `errors` as it was, which no program could read as text, and a
// newline in it as a blank.
#include "base/text.h"
#include "catch.h"
#include "kernel/error_log.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

TEST_CASE("A line of errors is text, and its path leads to the file, whatever that is called") {
  FakeClock clock;
  ErrorLog errors(clock);
  errors.add({1},
             "/workspaces/a site/gr\xc3\xb6\xc3\x9f"
             "e",
             fail(ENOSPC, "no room").error());
  errors.add({1}, "/workspaces/odd\n\xff", fail(ENOSPC, "odd\n\xff: no room").error());
  const std::string told = errors.text({1});
  CHECK(text::is_utf8(told));
  CHECK(std::ranges::count(told, '\n') == 2);
  CHECK(
      told.contains("\t/workspaces/a site/gr\xc3\xb6\xc3\x9f"
                    "e\tno room\n"));
  CHECK(told.contains("\t\"/workspaces/odd\\n\\377\"\todd "));
}

}  // namespace
}  // namespace agentfs::test
