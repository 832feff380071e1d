// SPDX-License-Identifier: MIT
// Changes of data trees made inside the daemon, through the same nodes as the host's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fs/vfs/file_system_parts.h"
#include "fs/vfs/local_request.h"

namespace agentfs::vfs {

// Only files have a text: EISDIR for a directory, ENOTSUP for a FIFO, a socket or a device.
Status check_has_text(mode_t type, const std::string& path);

// One operation of an agent; not shared between threads. Links on the way to the directory are
// followed; whether the agent may change what they lead to is asked of the directory that was
// found, and what is done there follows none. What was changed, also by an operation that failed
// half way, is in made().
class DataChanges {
 public:
  DataChanges(LocalRequest& request, ContextRef context, NodeRef root)
      : request_(request), context_(std::move(context)), root_(std::move(root)) {}

  bool is_data(const std::string& path) const;  // below a data root
  // Made anew where somebody has written there meanwhile. `amends`: made of what is there, so that
  // nothing which a process has not seen is lost by it.
  struct Text {
    std::function<Result<std::string>()> make;
    bool amends = false;
  };
  // Replaces the whole text, by temporary file and rename; keeps the mode, makes directories. The
  // text is made anew where somebody has written to the file meanwhile. EBUSY: all the time.
  Status write(const std::string& path, const Text& text);
  // With a text that is made in the turn of its name.
  Status rewrite(const std::string& path, const Text& text);
  // Before the first step of a restore: whether there is a directory, or nothing, wherever one is
  // to be. No link is followed, which would lead to what is not restored. ENOTDIR.
  Status begin_restore(const std::vector<RestoreStep>& steps, bool is_resumed);
  // One step of a restore, by temporary file and rename. False: others have the name by now.
  Result<bool> restore(const RestoreStep& step, const PastStore& past);
  // Those that it made, where nothing came into them; how many of them were steps of a restore.
  std::size_t take_back_directories();
  Status finish_restore();  // after the last step: modes and times of the directories made
  Status remove(const NodeRef& directory, const std::string& name);  // with all that is in it
  const std::vector<Staleness>& made() const { return made_; }
  const std::vector<TreeEvent>& seen() const { return seen_; }  // the same, for watchers

  // A name for a file in that directory that is soon renamed or removed.
  class Temporary {
   public:
    static Result<Temporary> begin(Services& services, const Node& directory);
    Temporary(Temporary&& other) noexcept
        : name(std::move(other.name)),
          path_(std::move(other.path_)),
          services_(std::exchange(other.services_, nullptr)) {}
    Temporary& operator=(Temporary&&) = delete;
    ~Temporary() {
      if (services_ != nullptr) services_->end_temporary(path_);
    }
    // An error is of the path that was asked for, and not of what lies ready.
    Status as_of(std::string_view path, Status done) const;
    std::string name;

   private:
    Temporary(Services& services, std::string given, std::string path)
        : name(std::move(given)), path_(std::move(path)), services_(&services) {}
    std::string path_;
    Services* services_;
  };

 private:
  Status may_change(const Node& directory, const std::string& name);
  // May an agent's tool put something else there? What was asked for by name is not a tool's own.
  WriteGuard* guard() const;
  static std::unexpected<Error> refuse_no_directory(std::string_view path);
  // To a directory: the nearest that is there, and what is missing below it, the last name first.
  struct Way {
    NodeRef directory{};
    std::vector<std::string> missing{};
  };
  Result<Way> way_to(const std::string& path);
  Result<NodeRef> make_way(Way way);
  Result<NodeRef> ensure_directory(const std::string& path);
  // What a file in missing directories may take is asked for before the first of them is made.
  Result<Hold> hold_room(const Way& way, const std::string& path, const Text& text);
  Result<Found> make_directory(const NodeRef& parent, const std::string& name, mode_t mode);
  Status write_in_place(const std::string& path, const Text& text);
  Status write_once(const NodeRef& directory, const std::string& path, const Text& text);
  // In the place of `old`, if that is not null.
  Status write_new(Node& directory, const std::string& name, const Found* old,
                   std::string_view text);
  Status remove_one(const NodeRef& directory, const std::string& name, const Found& found);
  Status remove_name(const NodeRef& directory, const std::string& name);
  Status restore_directory(const RestoreStep& step);
  // What a step is of, under that name.
  Result<NodeRef> make_again(Node& directory, const std::string& name, const RestoreStep& step,
                             const PastStore& past);
  Result<NodeRef> restore_file(Node& directory, const std::string& name, const RestoreStep& step,
                               const PastStore& past);
  // What came back at the path of `step.other`; null where that is another's by now.
  NodeRef first_of(const RestoreStep& step);
  Result<std::vector<std::string>> names(Node& directory);

  LocalRequest& request_;
  const ContextRef context_;
  const NodeRef root_;
  // After a change of a name, of which `type` has or had it.
  void note(Staleness stale, TreeEvent::Kind kind, mode_t type);
  // The same for one that was put there, where that is `done`: `old` is what had it, if anything.
  void note_put(const NodeRef& directory, const std::string& name, const Result<Found>& old,
                mode_t type, bool done);
  // What had the name has gone.
  static void note_gone(Staleness& stale, const Found& old);

  struct Ensured {  // a directory made on the way
    NodeRef parent{};
    std::string name{};
    NodeRef node{};
    std::string path{};
    std::uint64_t trashed = 0;  // the version that its name drove out of the trash
  };
  std::vector<Ensured> ensured_;
  std::vector<Staleness> made_;
  std::vector<TreeEvent> seen_;
  std::vector<std::pair<NodeRef, RestoreStep>> finishing_;
  // Of a restore, what came back at the paths at which files of several names do first.
  std::map<std::string, NodeRef> firsts_;
  bool is_resumed_ = false;  // the restore, by a start
};

}  // namespace agentfs::vfs
