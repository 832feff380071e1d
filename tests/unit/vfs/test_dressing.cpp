// SPDX-License-Identifier: MIT
// What a new file gets from the one whose place it takes.
#include "fs/vfs/dressing.h"
#include "test_tree.h"

namespace agentfs::vfs {
namespace {

// Takes no attributes, each time with the same errno; has one.
struct Refusing final : Node {
  explicit Refusing(int error) : code(error) {}
  mode_t type() const override { return S_IFREG; }
  std::string path() const override { return "/refusing"; }
  Result<Attributes> attributes(Request&) override { return Attributes{}; }
  Status set_xattr(Request&, const std::string&, std::string_view, int) override { return no(); }
  Status remove_xattr(Request&, const std::string&) override { return no(); }
  Result<std::string> get_xattr(Request&, const std::string&) override { return std::string("v"); }
  Status no() const { return fail_errno(code, "/refusing"); }
  int code;
};

const Xattrs kOne{{"user.one", "value"}};

}  // namespace

TEST_CASE("attributes that the disk does not take are an error") {
  TestRequest request(10);
  for (const int error : {ENOSPC, EDQUOT, EIO}) {
    Refusing node(error);
    CHECK(code(set_xattrs(request, kOne, node)) == error);
    CHECK(code(drop_inherited_acls(request, {}, node)) == error);
  }
}

TEST_CASE("attributes that its process may not set, or the disk does not know, are left out") {
  TestRequest request(10);
  for (const int error : {ENOTSUP, EPERM, EACCES}) {
    Refusing node(error);
    CHECK(set_xattrs(request, kOne, node));
    CHECK(drop_inherited_acls(request, {}, node));
  }
}

}  // namespace agentfs::vfs
