// SPDX-License-Identifier: MIT
// What a program of the host stored through a mapping into a page that was dirty already moved no
// time of the file, so that a commit took it for what was imported and wrote over it.
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "base/file_clock.h"
#include "catch.h"
#include "unit/imports/imported.h"

namespace agentfs::test {
namespace {

class HostMapping {
 public:
  explicit HostMapping(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(file);
    void* const at = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    REQUIRE(at != MAP_FAILED);
    bytes_ = static_cast<char*>(at);
  }
  ~HostMapping() { ::munmap(bytes_, kSize); }
  HostMapping(const HostMapping&) = delete;
  HostMapping& operator=(const HostMapping&) = delete;
  void store(char value) { static_cast<volatile char*>(bytes_)[0] = value; }

  static constexpr std::size_t kSize = 4096;

 private:
  char* bytes_ = nullptr;
};

bool tells_of_stores(const std::string& path) {
  struct statfs disk{};
  return ::statfs(path.c_str(), &disk) == 0 && disk.f_type != TMPFS_MAGIC;
}

TEST_CASE("A store into a page that was dirty before the import is a change since", "[disk]") {
  Imported it;
  if (!tells_of_stores(it.host)) {
    WARN("SKIPPED: a tmpfs moves no times of what is mapped");
    return;
  }
  const std::string path = it.host + "/table";
  put(path, std::string(HostMapping::kSize, '-'));
  HostMapping mapping(path);
  mapping.store('A');
  must(it.store->record(it.id, must(it.store->drift(it.id, true))));
  REQUIRE(it.drifted().empty());
  mapping.store('B');
  CHECK(it.drifted() == Paths{"table"});
  const auto refused = it.store->write(it.id, {it.file("table", "ours\n")});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(text_of(path).front() == 'B');
}

TEST_CASE("What is written after a file was recorded has a later time than it was recorded with") {
  Imported it;
  put(it.host + "/a", "written just now\n");
  const std::vector<HostDrift> seen = must(it.store->drift(it.id, true));
  REQUIRE(seen.size() == 1);
  must(it.store->record(it.id, seen));
  CHECK(nanoseconds_of(file_clock()) > seen.front().now.changed);
}

}  // namespace
}  // namespace agentfs::test
