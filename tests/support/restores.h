// SPDX-License-Identifier: MIT
// What a start does with a restore that a crash has cut short.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "catch.h"
#include "kernel/restore_order.h"
#include "support/tree_world.h"

namespace agentfs::test {

// `reached`: lines behind the order. It is gone then.
inline void resume(TreeWorld& world, const RestoreOrder& order, std::string_view reached = "") {
  const std::string place = world.kernel().parts().state + "/restores";
  REQUIRE(file::make_directories(place, 0700));
  REQUIRE(file::replace(place + "/order", order.text() + std::string(reached), 0600));
  resume_restores(world.kernel());
  CHECK_FALSE(file::exists(place + "/order"));
}

}  // namespace agentfs::test
