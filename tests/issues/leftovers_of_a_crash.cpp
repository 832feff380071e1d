// SPDX-License-Identifier: MIT
// A file that lay ready to be renamed over another stayed for ever where the daemon was killed
// after it was made and before the journal told of it.
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "catch.h"
#include "kernel/configuration.h"
#include "kernel/history.h"
#include "kernel/leftovers.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

// And what was there stood in the trash, as something that nobody had made or removed.
TEST_CASE("What was under way when the daemon died is gone, whatever the journal says") {
  TestKernel t;
  const std::string site = t.state() + "/trees/workspaces/site";
  REQUIRE(t.kernel().temporaries().begin("/workspaces/site/.agentfs-0123456789ab"));
  REQUIRE(t.kernel().temporaries().begin("/workspaces/site/kept"));
  REQUIRE(t.kernel().temporaries().begin("/workspaces/site/none/.agentfs-0123456789ab"));
  std::ofstream(site + "/.agentfs-0123456789ab") << "half of it";
  std::ofstream(site + "/kept") << "somebody's";
  REQUIRE(t.stop_and_start());
  CHECK_FALSE(fs::exists(site + "/.agentfs-0123456789ab"));
  CHECK(fs::exists(site + "/kept"));
  // So that nothing is told as come of it, while of what has another name by now something has.
  CHECK(t.kernel().temporaries().was_removed("/workspaces/site/.agentfs-0123456789ab"));
  CHECK_FALSE(t.kernel().temporaries().was_removed("/workspaces/site/none/.agentfs-0123456789ab"));
  CHECK_FALSE(fs::exists(t.state() + "/temporaries"));
  FileVersionRef version;
  t.kernel().look_at_history([&](const History& history) {
    version = history.trashed("/workspaces/site/.agentfs-0123456789ab");
  });
  CHECK(version == nullptr);
}

// It was kept as if it held what nothing else did: so a file that a restore had been about to give
// a further name had a name too many for good, and nothing brought it back once its own were
// removed.
TEST_CASE(
    "A name that a killed restore was about to give to a file that has others is only removed") {
  TestKernel t;
  const std::string site = t.state() + "/trees/workspaces/site";
  const std::string path = "/workspaces/site/.agentfs-0123456789ab";
  std::ofstream(site + "/f") << "restored";
  REQUIRE(t.kernel().temporaries().begin(path));
  fs::create_hard_link(site + "/f", site + "/.agentfs-0123456789ab");
  REQUIRE(t.stop_and_start());
  CHECK_FALSE(fs::exists(site + "/.agentfs-0123456789ab"));
  CHECK(fs::hard_link_count(site + "/f") == 1);
  t.kernel().look_at_history(
      [&](const History& history) { CHECK(history.trashed(path) == nullptr); });
}

TEST_CASE("What a full disk noted in part is none of the name that is noted next") {
  TestKernel t;
  const std::string site = t.state() + "/trees/workspaces/site";
  std::ofstream(t.state() + "/temporaries") << "/workspaces/site/.agentfs-01234";
  REQUIRE(t.kernel().temporaries().begin("/workspaces/site/.agentfs-0123456789ab"));
  std::ofstream(site + "/.agentfs-0123456789ab") << "half of it";
  REQUIRE(t.stop_and_start());
  CHECK_FALSE(fs::exists(site + "/.agentfs-0123456789ab"));
}

// fsck took one that was killed before its first byte for an order of a merge, and /etc listed it.
TEST_CASE("What a kill left of replacing a file of the state is gone with the next start") {
  TestKernel t;
  const std::string orders = t.state() + "/merges";
  const std::string documents = t.state() + "/etc-of-a-test";
  std::vector<std::string> left;
  for (const std::string& directory : {orders, documents}) {
    REQUIRE(file::make_directories(directory));
    // As file::replace() has it just before its rename.
    left.push_back(directory + "/users.toml.agentfs-new");
    std::ofstream(left.back()) << "";
    CHECK(file::is_unfinished(left.back()));
  }
  REQUIRE(t.stop_and_start());
  const auto configuration = Configuration::open(documents);
  REQUIRE(configuration);
  CHECK((*configuration)->problems().empty());
  for (const std::string& path : left) {
    CAPTURE(path);
    CHECK_FALSE(fs::exists(path));
  }
}

TEST_CASE("When nothing is under way, nothing is remembered") {
  TestKernel t;
  Temporaries& temporaries = t.kernel().temporaries();
  const std::string one = "/workspaces/site/.agentfs-0123456789ab";
  const std::string other = "/workspaces/site/.agentfs-0123456789ac";
  REQUIRE(temporaries.begin(one));
  REQUIRE(temporaries.begin(other));
  temporaries.end(one);
  CHECK(fs::file_size(t.state() + "/temporaries") != 0);
  CHECK(temporaries.lies_ready(other));
  CHECK_FALSE(temporaries.lies_ready(one));
  temporaries.end(other);
  CHECK(fs::file_size(t.state() + "/temporaries") == 0);
}

}  // namespace
}  // namespace agentfs::test
