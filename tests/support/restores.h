// SPDX-License-Identifier: MIT
// A directory that is restored, and what a start does with a restore that a crash has cut short.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "catch.h"
#include "kernel/restore_order.h"
#include "support/tree_world.h"

namespace agentfs::test {

inline const std::string kTop = kSite + "/d";

// Of a file in it.
inline void write(TreeWorld& world, const std::string& name, std::string_view text) {
  REQUIRE(world.files().write(world.request().caller(), kTop + "/" + name, text));
}
inline std::string text_of(TreeWorld& world, const std::string& name) {
  return world.files().read(world.request().caller(), kTop + "/" + name, 0, 0).value_or("-");
}

// `reached`: lines behind the order. It is gone then.
inline void resume(TreeWorld& world, const RestoreOrder& order, std::string_view reached = "") {
  const std::string place = world.kernel().parts().state + "/restores";
  REQUIRE(file::make_directories(place, 0700));
  REQUIRE(file::replace(place + "/order", order.text() + std::string(reached), 0600));
  resume_restores(world.kernel());
  CHECK_FALSE(file::exists(place + "/order"));
}

}  // namespace agentfs::test
