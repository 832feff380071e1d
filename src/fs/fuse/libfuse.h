// SPDX-License-Identifier: MIT
// libfuse, 3.14 to 3.18, and what differs between them: features are told by a word of 32 bits in
// the older ones, by functions in the newer.
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

namespace agentfs::fuse {

// False where the host's kernel does not offer the feature.
template <class Connection>
bool want(Connection& connection, std::uint64_t feature) {
  if constexpr (requires { fuse_set_feature_flag(&connection, feature); }) {
    return fuse_set_feature_flag(&connection, feature);
  } else {
    const auto bit = static_cast<unsigned>(feature) & connection.capable;
    connection.want |= bit;
    return bit != 0;
  }
}

template <class Connection>
void want_not(Connection& connection, std::uint64_t feature) {
  if constexpr (requires { fuse_unset_feature_flag(&connection, feature); }) {
    fuse_unset_feature_flag(&connection, feature);
  } else {
    connection.want &= ~static_cast<unsigned>(feature);
  }
}

// Whether the library passes on with a write what only the kernel knows: that the writer has no
// CAP_FSETID. Only then can the kernel leave clearing set-user-id bits to us.
template <class Info = fuse_file_info>
constexpr bool tells_set_id() {
  return requires(Info info) { info.kill_suidgid; };
}

template <class Connection>
bool want_set_id([[maybe_unused]] Connection& connection) {
#if defined(FUSE_CAP_HANDLE_KILLPRIV_V2)
  if constexpr (tells_set_id()) return want(connection, FUSE_CAP_HANDLE_KILLPRIV_V2);
#endif
  return false;
}

template <class Info>
bool drops_set_id(const Info& info) {
  if constexpr (requires { info.kill_suidgid; }) {
    return info.kill_suidgid;
  } else {
    return false;
  }
}

// Whether it came by a queue of io_uring.
template <class Request>
bool is_from_ring(Request request) {
  if constexpr (requires { fuse_req_is_uring(request); }) {
    return fuse_req_is_uring(request);
  } else {
    return false;
  }
}

// Where an answer of so many bytes may be put so that it need not be copied; null: nowhere.
template <class Request>
char* room_in_ring(Request request, std::size_t count) {
  if constexpr (requires(char** place, std::size_t* room, void** unused) {
                  fuse_req_get_payload(request, place, room, unused);
                }) {
    char* place = nullptr;
    std::size_t room = 0;
    if (!is_from_ring(request)) return nullptr;
    if (fuse_req_get_payload(request, &place, &room, nullptr) != 0) return nullptr;
    return room >= count ? place : nullptr;
  } else {
    return nullptr;
  }
}

// As inval_entry, but the name is only marked as to be asked for again. libfuse says so from 3.16
// on; before, the message is linux/fuse.h's: a kernel that does not know the flag (before 6.2)
// takes it for inval_entry's.
template <class Session>
void expire_entry(Session* session, std::uint64_t parent, const std::string& name) {
  if constexpr (requires {
                  fuse_lowlevel_notify_expire_entry(session, parent, name.c_str(), name.size());
                }) {
    fuse_lowlevel_notify_expire_entry(session, parent, name.c_str(), name.size());
  } else {
    constexpr std::uint32_t kExpireOnly = 1;  // FUSE_EXPIRE_ONLY
    struct {
      fuse_out_header header{};
      std::uint64_t parent = 0;
      std::uint32_t length = 0;
      std::uint32_t flags = kExpireOnly;
    } message;
    const std::size_t size = sizeof message + name.size() + 1;
    message.header.len = static_cast<std::uint32_t>(size);
    message.header.error = FUSE_NOTIFY_INVAL_ENTRY;
    message.parent = parent;
    message.length = static_cast<std::uint32_t>(name.size());
    iovec parts[2] = {{.iov_base = &message, .iov_len = sizeof message},
                      {.iov_base = const_cast<char*>(name.c_str()), .iov_len = name.size() + 1}};
    // ENOENT: the name is not known there.
    static_cast<void>(::writev(fuse_session_fd(session), parts, 2) < 0);
  }
}

// O_TMPFILE, which libfuse passes on from 3.17 on.
template <class Operations = fuse_lowlevel_ops>
constexpr bool passes_tmpfile() {
  return requires(Operations table) { table.tmpfile; };
}

template <class Operations, class Function>
void set_tmpfile(Operations& table, Function function) {
  if constexpr (passes_tmpfile<Operations>()) table.tmpfile = function;
}

// statx(2), which libfuse passes on from 3.18 on.
template <class Operations = fuse_lowlevel_ops>
constexpr bool passes_statx() {
  return requires(Operations table) { table.statx; };
}

template <class Operations, class Function>
void set_statx(Operations& table, Function function) {
  if constexpr (passes_statx<Operations>()) table.statx = function;
}

template <class Request>
void reply_statx(Request request, struct statx& found, double validity) {
  if constexpr (passes_statx()) fuse_reply_statx(request, 0, &found, validity);
}

// All names, in one message: what was looked up before is asked for again when it is next used.
// False: a kernel that does not know it (before 6.16).
inline bool expire_all_entries(fuse_session* session) {
  constexpr std::int32_t kNewEpoch = 8;  // FUSE_NOTIFY_INC_EPOCH
  fuse_out_header message{};
  message.len = sizeof message;
  message.error = kNewEpoch;
  return ::write(fuse_session_fd(session), &message, sizeof message) == sizeof message;
}

// Nodes are forgotten of which nobody has anything open. False: a kernel that does not know it
// (before 6.18).
inline bool prune_nodes(fuse_session* session, const std::vector<std::uint64_t>& ids) {
  constexpr std::int32_t kPrune = 9;  // FUSE_NOTIFY_PRUNE
  struct Message {
    fuse_out_header header{};
    std::uint32_t count = 0;
    std::uint32_t padding = 0;
    std::uint64_t spare = 0;
  } message;
  message.count = static_cast<std::uint32_t>(ids.size());
  const std::size_t bytes = ids.size() * sizeof(std::uint64_t);
  message.header.len = static_cast<std::uint32_t>(sizeof message + bytes);
  message.header.error = kPrune;
  std::string text(reinterpret_cast<const char*>(&message), sizeof message);
  text.append(reinterpret_cast<const char*>(ids.data()), bytes);
  const auto said = ::write(fuse_session_fd(session), text.data(), text.size());
  return said >= 0 || errno != EINVAL;
}

}  // namespace agentfs::fuse
