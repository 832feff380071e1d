// SPDX-License-Identifier: MIT
// Whole files, hashes and signatures.
#include "base/file.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "base/hash.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;

TEST_CASE("a file is replaced whole, with its mode, and leaves nothing beside it") {
  const test::TemporaryDirectory folder;
  REQUIRE(file::make_directories(folder.path("a/b")));
  const std::string path = folder.path("a/b/text");
  REQUIRE(file::replace(path, "one", 0600));
  REQUIRE(file::replace(path, std::string(200'000, 'x'), 0600));
  CHECK(file::read(path).value().size() == 200'000);
  struct stat found{};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 07777) == 0600);
  CHECK(std::ranges::distance(std::filesystem::directory_iterator(folder.path("a/b"))) == 1);
  REQUIRE(file::replace(path, "by another way", 0600, folder.path("aside")));
  CHECK(file::read(path).value() == "by another way");
  CHECK_FALSE(file::exists(folder.path("aside")));
  const auto missing = file::read(folder.path("none"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ENOENT);
  CHECK_THAT(missing.error().message, has("none"));
}

TEST_CASE("files of /proc, whose size is told as 0, are read whole") {
  CHECK_THAT(file::read(std::string("/proc/self/status")).value(), has("Tgid:"));
}

TEST_CASE("BLAKE2b-256 of the empty text is what RFC 7693's function gives") {
  CHECK(blake2b("") == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  CHECK(blake2b("a") != blake2b("b"));
}

TEST_CASE("a key is made once, signs, and is told from a file that holds none") {
  const test::TemporaryDirectory folder;
  const auto key = SigningKey::ensure(folder.path("key"));
  REQUIRE(key);
  const auto again = SigningKey::ensure(folder.path("key"));
  REQUIRE(again);
  CHECK(key->public_key() == again->public_key());
  const std::string signature = key->sign("head");
  CHECK(signature_is_good(key->public_key(), "head", signature));
  CHECK_FALSE(signature_is_good(key->public_key(), "heap", signature));
  CHECK_FALSE(signature_is_good(key->public_key(), "head", "00"));
  REQUIRE(file::replace(folder.path("bad"), "no key"));
  CHECK(SigningKey::ensure(folder.path("bad")).error().code == EBADMSG);
}

}  // namespace
}  // namespace agentfs
