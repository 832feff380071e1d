// SPDX-License-Identifier: MIT
// Rights that a process without root lends itself to its own files.
#include "base/owner_rights.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "catch.h"
#include "support/temporary.h"

namespace agentfs {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kNobody = 65534;

// A closed file, a closed directory and the room, of an ordinary user.
class Place {
 public:
  Place() {
    fs::create_directories(path("room"));
    fs::create_directories(path("directory"));
    std::ofstream(path("file")) << "text";
    for (const char* const name : {"", "room", "directory", "file"}) {
      if (::geteuid() == 0) REQUIRE(::chown(path(name).c_str(), kNobody, kNobody) == 0);
    }
    REQUIRE(::chmod(path("file").c_str(), 0) == 0);
    REQUIRE(::chmod(path("directory").c_str(), 0555) == 0);
    room = UniqueFd(::open(path("room").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  std::string path(const std::string& name) const { return place_.path(name); }
  UniqueFd open(const std::string& name) const {
    return UniqueFd(::open(path(name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }
  mode_t mode(const std::string& name) const {
    struct stat found{};
    REQUIRE(::stat(path(name).c_str(), &found) == 0);
    return found.st_mode & 07777;
  }
  bool has_notes() const { return !fs::is_empty(path("room")); }

  UniqueFd room;

 private:
  const test::TemporaryDirectory place_;
};

// Whether it holds in a process of an ordinary user, which then ends without a destructor.
bool in_killed_process(const std::function<bool()>& holds) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_nobody = ::geteuid() != 0 || ::setresuid(kNobody, kNobody, kNobody) == 0;
    ::_exit(is_nobody && holds() ? 0 : 1);
  }
  int ended = 0;
  REQUIRE(::waitpid(child, &ended, 0) == child);
  return ended == 0;
}

TEST_CASE("a closed file is read with lent rights and has its mode again after") {
  const Place place;
  CHECK(in_killed_process([&] {
    const UniqueFd file = place.open("file");
    {
      const auto lent = OwnerRights::lend(file.get(), S_IRUSR, place.room.get());
      const UniqueFd read(::open(place.path("file").c_str(), O_RDONLY | O_CLOEXEC));
      if (!lent || !lent->are_lent() || !read || !place.has_notes()) return false;
    }
    return place.mode("file") == 0 && !place.has_notes();
  }));
}

TEST_CASE("nothing is lent where the mode has the bits") {
  const Place place;
  CHECK(in_killed_process([&] {
    const auto lent =
        OwnerRights::lend(place.open("directory").get(), S_IRUSR | S_IXUSR, place.room.get());
    return lent && !lent->are_lent() && !place.has_notes();
  }));
}

TEST_CASE("what a kill leaves lent has its mode again after the next start") {
  const Place place;
  CHECK(in_killed_process([&] {
    const auto file = OwnerRights::lend(place.open("file").get(), S_IRUSR, place.room.get());
    const auto directory =
        OwnerRights::lend(place.open("directory").get(), S_IWUSR, place.room.get());
    ::_exit(file && directory ? 0 : 1);
    return false;
  }));
  CHECK(place.mode("file") == 0400);
  CHECK(place.mode("directory") == 0755);
  REQUIRE(mend_rights(place.room.get()));
  CHECK(place.mode("file") == 0);
  CHECK(place.mode("directory") == 0555);
  CHECK(!place.has_notes());
}

TEST_CASE("a directory that a kill leaves moved has its mode again after the next start") {
  const Place place;
  CHECK(in_killed_process([&] {
    auto lent = OwnerRights::lend(place.open("directory").get(), S_IWUSR, place.room.get());
    const bool is_noted = lent && lent->may_move_to(place.path("moved"));
    const bool is_moved =
        ::rename(place.path("directory").c_str(), place.path("moved").c_str()) == 0;
    ::_exit(is_noted && is_moved ? 0 : 1);
    return false;
  }));
  REQUIRE(mend_rights(place.room.get()));
  CHECK(place.mode("moved") == 0555);
  CHECK(!place.has_notes());
}

}  // namespace
}  // namespace agentfs
