// SPDX-License-Identifier: MIT
#include "kernel/packed_refs.h"

#include "catch.h"
#include "support/must.h"

namespace agentfs::test {
namespace {

const std::string kA(40, 'a');
const std::string kB(40, 'b');
const std::string kC(40, 'c');

TEST_CASE("The first packed refs are as git-pack-refs writes them") {
  const std::string text = must(with_refs("", {{"refs/x/2", kB}, {"refs/x/10", kA}}));
  CHECK(text == "# pack-refs with: peeled fully-peeled sorted \n" + kA + " refs/x/10\n" + kB +
                    " refs/x/2\n");
}

TEST_CASE("Refs come between those that are packed, which keep what they were peeled to") {
  const std::string packed = "# pack-refs with: peeled fully-peeled sorted \n" + kA +
                             " refs/heads/main\n" + kB + " refs/tags/v1\n^" + kC + "\n" + kA +
                             " refs/tags/v2\n";
  const std::string text = must(with_refs(packed, {{"refs/n/1", kC}, {"refs/tags/v2", kB}}));
  CHECK(text == "# pack-refs with: peeled fully-peeled sorted \n" + kA + " refs/heads/main\n" + kC +
                    " refs/n/1\n" + kB + " refs/tags/v1\n^" + kC + "\n" + kB + " refs/tags/v2\n");
}

TEST_CASE("What the first line promises holds on, and nothing is promised that it did not") {
  const std::string some = must(with_refs("# pack-refs with: peeled \n", {{"refs/x", kA}}));
  CHECK(some == "# pack-refs with: peeled sorted \n" + kA + " refs/x\n");
  const std::string old = must(with_refs(kB + " refs/z\n" + kA + " refs/y\n", {{"refs/x", kC}}));
  CHECK(old == kC + " refs/x\n" + kA + " refs/y\n" + kB + " refs/z\n");
}

TEST_CASE("What is no packed-refs is not taken for one") {
  for (const std::string& text :
       {std::string("hello\n"), "^" + kA + "\n", kA + "\n",
        std::string("A") + kA.substr(1) + " refs/x\n", "<<<<<<< ours\n" + kA + " refs/x\n"}) {
    CAPTURE(text);
    const auto refused = with_refs(text, {{"refs/y", kB}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EBADMSG);
  }
}

}  // namespace
}  // namespace agentfs::test
