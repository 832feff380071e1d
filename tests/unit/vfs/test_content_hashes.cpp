// SPDX-License-Identifier: MIT
#include <fcntl.h>

#include "base/file.h"
#include "base/file_clock.h"
#include "catch.h"
#include "fs/vfs/content_hashes.h"
#include "support/must.h"
#include "support/temporary.h"

namespace agentfs::test {
namespace {

// A file that changes where it is lent from while it is read.
class LentFile final : public TreeFile {
 public:
  LentFile(const std::string& path, bool has_changed)
      : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), has_changed_(has_changed) {}
  int descriptor() const override { return file_.get(); }
  bool is_lent() const override { return true; }
  Status check_read() const override {
    return has_changed_ ? Status(fail(EBUSY, "a mixture")) : ok();
  }

 private:
  const UniqueFd file_;
  const bool has_changed_;
};

}  // namespace

TEST_CASE("the hash of what changed while it was read is told to nobody, then or later") {
  const TemporaryDirectory place;
  must(file::replace(place.path("f"), "a mixture"));
  struct stat now{};
  REQUIRE(::stat(place.path("f").c_str(), &now) == 0);
  vfs::ContentHashes hashes;
  const auto refused = hashes.of(LentFile(place.path("f"), true), now, [] { return false; });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  must(file::replace(place.path("f"), "its bytes"));
  vfs::ContentHashes others;
  const auto unwanted = hashes.of(LentFile(place.path("f"), false), now, [] { return true; });
  REQUIRE_FALSE(unwanted);
  CHECK(unwanted.error().code == EINTR);
  CHECK(must(hashes.of(LentFile(place.path("f"), false), now, [] { return false; })) ==
        must(others.of(LentFile(place.path("f"), false), now, [] { return false; })));
}

TEST_CASE("a hash is known again only of a state that the next change cannot leave") {
  const TemporaryDirectory place;
  vfs::ContentHashes hashes;
  struct stat now{};  // of a disk that nobody has asked about
  const auto hash_of = [&](std::string_view text) {
    must(file::replace(place.path("f"), text));
    now.st_size = static_cast<off_t>(text.size());
    return must(hashes.of(LentFile(place.path("f"), false), now, [] { return false; }));
  };
  now.st_ctim = file_clock();
  now.st_ctim.tv_sec += 1;  // has yet to come
  CHECK(hash_of("one") != hash_of("two"));
  now.st_ctim.tv_sec -= 10;
  CHECK(hash_of("one") == hash_of("two"));
}

}  // namespace agentfs::test
