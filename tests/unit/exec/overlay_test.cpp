// SPDX-License-Identifier: MIT
// Commands that work on an overlay of a directory.
#include <sys/stat.h>

#include "base/file.h"
#include "harness.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;

class Overlaid : public Harness {
 public:
  Overlaid() {
    for (const char* name : {"seen", "lower", "upper", "work"}) {
      std::filesystem::create_directory(directory + "/" + name);
    }
    CHECK(file::replace(directory + "/lower/old", "old\n"));
    CHECK(file::replace(directory + "/seen/not-this", "covered\n"));
  }
  ExecRequest overlaid(std::string command) const {
    ExecRequest made = request(std::move(command));
    made.binds = {{directory + "/seen", "/workspaces/site"}};
    made.overlay = {.inside = "/workspaces/site",
                    .lower = directory + "/lower",
                    .upper = directory + "/upper",
                    .work = directory + "/work"};
    return made;
  }
};

#define NEEDS_OVERLAY()                               \
  NEEDS_SANDBOX();                                    \
  if (::geteuid() != 0) {                             \
    WARN("SKIPPED: overlays are made by root alone"); \
    return;                                           \
  }                                                   \
  static_assert(true)

TEST_CASE("what a command changes on an overlay goes to the upper directory", "[ordinary]") {
  NEEDS_OVERLAY();
  Overlaid harness;
  const ExecReply reply =
      harness.reply(harness.overlaid("ls; cat old; echo new >>old; echo more >made; pwd"));
  CHECK(reply.output == "old\nold\n/workspaces/site\n");
  CHECK(reply.exit_code == 0);
  CHECK_FALSE(reply.abandoned);
  CHECK(file::read(harness.directory + "/lower/old") == "old\n");
  CHECK_FALSE(file::exists(harness.directory + "/lower/made"));
  CHECK(file::read(harness.directory + "/upper/old") == "old\nnew\n");
  CHECK(file::read(harness.directory + "/upper/made") == "more\n");
  CHECK(std::filesystem::exists(harness.directory + "/seen/not-this"));
  CHECK_FALSE(file::exists(harness.directory + "/seen/made"));
}

TEST_CASE("nothing of the overlay is left mounted, and it is seen nowhere else", "[ordinary]") {
  NEEDS_OVERLAY();
  Overlaid harness;
  CHECK(harness.reply(harness.overlaid("sleep 1000 & echo x >made")).exit_code == 0);
  CHECK_THAT(*file::read("/proc/self/mountinfo"), !has(harness.directory));
  // An upper directory in use cannot be used again.
  CHECK(harness.reply(harness.overlaid("cat made")).output == "x\n");
}

TEST_CASE("what an overlay is in the place of may go before the command begins", "[ordinary]") {
  NEEDS_OVERLAY();
  Overlaid harness;
  std::filesystem::remove_all(harness.directory + "/seen");
  const ExecReply reply = harness.reply(harness.overlaid("ls; echo more >made"));
  CHECK(reply.output == "old\n");
  CHECK(file::read(harness.directory + "/upper/made") == "more\n");
}

TEST_CASE("an overlay leads to nothing but itself", "[ordinary]") {
  NEEDS_OVERLAY();
  Overlaid harness;
  CHECK(file::replace(harness.directory + "/secret", "secret\n"));
  const std::string escapes =
      "cat ../secret ../../secret " + harness.directory + "/secret " + harness.directory +
      "/upper/made; ls -d " + harness.directory + "; ln -s " + harness.directory +
      "/secret link; cat link; mknod w c 0 0; "
      "perl -e '$h = pack(\"IIa128\", 128, 0, \"\"); $m = 0; "
      "print syscall(303, -100, \"old\", $h, $m, 0), \" \", syscall(304, 3, $h, 0), \"\\n\"'";
  const ExecReply reply = harness.reply(harness.overlaid(escapes));
  CHECK_THAT(reply.output, !has("secret\n/") && !has("\nsecret\n"));
  CHECK_FALSE(file::exists(harness.directory + "/upper/w"));
}

TEST_CASE("an overlay that is none of the binds, or no path, is refused", "[ordinary]") {
  NEEDS_OVERLAY();
  Overlaid harness;
  ExecRequest other = harness.overlaid("true");
  other.overlay->inside = "/workspaces/other";
  CHECK(harness.run(other).error().code == EINVAL);
  other = harness.overlaid("true");
  other.overlay->lower = "lower";
  CHECK(harness.run(other).error().code == EINVAL);
  other = harness.overlaid("true");
  other.overlay->work = harness.directory + "/nowhere";
  CHECK(harness.run(other).error().code == ENOENT);
  other = harness.overlaid("true");
  other.overlay->upper = "/proc";
  CHECK(harness.run(other).error().code == ENOTSUP);
}

}  // namespace
}  // namespace agentfs
