// SPDX-License-Identifier: MIT
// What a thread that others depend on does before it waits.
#pragma once

#include <functional>

namespace agentfs {

// To be called before waiting for other threads: what this one has set is run, so that its duties
// can be another's meanwhile. Nothing, where it has set none. Threads: all.
void about_to_wait();
// Of this thread, until it ends or sets something else.
void set_about_to_wait(std::function<void()> act);

}  // namespace agentfs
