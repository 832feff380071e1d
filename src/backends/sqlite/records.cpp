// SPDX-License-Identifier: MIT
#include <sys/statvfs.h>
#include <unistd.h>

#include "backends/sqlite/connection.h"
#include "backends/sqlite/schema.h"
#include "backends/sqlite/sqlite.h"
#include "base/blocks.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs {
namespace {

using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

Status check_collection(std::string_view name) {
  if (!name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == name.npos) {
    return ok();
  }
  return fail(EINVAL, "store: {} is no collection; a word of a to z is", text::shown(name));
}

// Moves the file and those SQLite keeps beside it out of the way, under the first free number.
Status set_aside(const std::string& path) {
  std::string aside;
  for (int number = 1; aside.empty() || file::exists(aside); ++number) {
    aside = fmt::format("{}.damaged-{}", path, number);
  }
  for (const char* suffix : {"-wal", ""}) {
    const std::string from = path + suffix;
    if (::rename(from.c_str(), (aside + suffix).c_str()) != 0 && errno != ENOENT) {
      return fail_errno(from);
    }
  }
  ::unlink((path + "-shm").c_str());  // only an index of the -wal file
  log::warning("{}: damaged, or other than the journal; it is kept as {}", path, aside);
  return ok();
}

// SQLite has a mapped index which is shared with others who look, and takes room for it by a byte
// of each page: where the disk's blocks are smaller, a page may lack room when it is written
// (SIGBUS).
bool may_be_mapped(const std::string& directory) {
  struct statvfs disk{};
  return keeps_blocks(directory) && ::statvfs(directory.c_str(), &disk) == 0 &&
         static_cast<long>(disk.f_bsize) >= ::sysconf(_SC_PAGESIZE);
}

class SqliteRecords final : public RecordStore {
 public:
  explicit SqliteRecords(std::string path) : path_(std::move(path)) {}

  Status open();
  Status prepare(bool alone);
  Result<Sequence> reached() override;
  Status apply(Sequence reached, std::span<const ObjectChange> changes) override;
  Status load(const Visitor& visitor) override;
  Status check() override;
  Status clear() override;

 private:
  Status change(const ObjectChange& change);
  Status check_integrity();
  Status check_json();
  void close();

  const std::string path_;
  Connection connection_;  // before the statements, which must go first
  Statement get_reached_;
  Statement set_reached_;
  Statement put_;
  Statement remove_;
};

Status SqliteRecords::prepare(bool alone) {
  connection_ = TRY(Connection::open(path_));
  if (alone) TRY(connection_.run("PRAGMA locking_mode = EXCLUSIVE"));
  return sqlite::prepare_schema(connection_, path_);
}

// A full disk has no room for that index; then nobody else can look.
Status SqliteRecords::open() {
  auto prepared = prepare(!may_be_mapped(std::string(text::parent_part(path_))));
  if (!prepared && prepared.error().code == ENOSPC) {
    log::warning("{}; no other program can look into it until the next start",
                 prepared.error().message);
    prepared = prepare(true);
  }
  TRY(std::move(prepared));
  get_reached_ = TRY(connection_.prepare("SELECT value FROM meta WHERE name = 'reached'"));
  set_reached_ = TRY(connection_.prepare("UPDATE meta SET value = ? WHERE name = 'reached'"));
  put_ = TRY(connection_.prepare(
      "INSERT INTO object VALUES (?, ?, ?) "
      "ON CONFLICT DO UPDATE SET json = excluded.json WHERE json IS NOT excluded.json"));
  remove_ = TRY(connection_.prepare("DELETE FROM object WHERE collection = ? AND key = ?"));
  return ok();
}

void SqliteRecords::close() {
  get_reached_ = Statement();
  set_reached_ = Statement();
  put_ = Statement();
  remove_ = Statement();
  connection_ = Connection();
}

Result<Sequence> SqliteRecords::reached() {
  if (!TRY(get_reached_.step())) {
    return fail(EBADMSG, "{}: it does not say which record it has reached", path_);
  }
  const Sequence reached{static_cast<std::uint64_t>(get_reached_.number(0))};
  get_reached_.reset();
  return reached;
}

Status SqliteRecords::apply(Sequence reached, std::span<const ObjectChange> changes) {
  for (const ObjectChange& change : changes) TRY(check_collection(change.collection));
  Transaction transaction(connection_);
  TRY(transaction.begin());
  const Sequence before = TRY(this->reached());
  if (reached < before) {
    return fail(EINVAL, "store: cannot go back to record {}; it has reached {}", reached.value,
                before.value);
  }
  for (const ObjectChange& one : changes) TRY(change(one));
  TRY(set_reached_.bind(1, static_cast<std::int64_t>(reached.value)));
  TRY(set_reached_.run());
  return transaction.commit();
}

Status SqliteRecords::change(const ObjectChange& change) {
  Statement& statement = change.json ? put_ : remove_;
  TRY(statement.bind(1, change.collection));
  TRY(statement.bind(2, change.key));
  if (change.json) TRY(statement.bind(3, *change.json));
  return statement.run();
}

Status SqliteRecords::load(const Visitor& visitor) {
  Statement all =
      TRY(connection_.prepare("SELECT collection, key, json FROM object ORDER BY collection, key"));
  while (TRY(all.step())) TRY(visitor(all.text(0), all.text(1), all.text(2)));
  return ok();
}

Status SqliteRecords::check() {
  TRY(check_integrity());
  TRY(reached());
  return check_json();
}

Status SqliteRecords::check_integrity() {
  Statement statement = TRY(connection_.prepare("PRAGMA integrity_check(10)"));
  std::string found;
  while (TRY(statement.step())) {
    if (statement.text(0) == "ok") continue;
    found += (found.empty() ? "" : ", ") + std::string(statement.text(0));
  }
  if (found.empty()) return ok();
  return fail(EBADMSG, "{}: damaged ({}); a replay of the journal makes it anew", path_, found);
}

Status SqliteRecords::check_json() {
  Statement statement = TRY(
      connection_.prepare("SELECT collection, key FROM object WHERE NOT json_valid(json) LIMIT 1"));
  if (!TRY(statement.step())) return ok();
  return fail(EBADMSG, "{}: {} {} is not JSON; a replay of the journal makes it anew", path_,
              statement.text(0), text::shown(statement.text(1)));
}

// Nothing is deleted: what a journal does not tell may have been lost there.
Status SqliteRecords::clear() {
  close();
  TRY(set_aside(path_));
  return open();
}

}  // namespace

Result<std::unique_ptr<RecordStore>> open_sqlite(const std::string& path) {
  auto records = std::make_unique<SqliteRecords>(path);
  TRY(records->open());
  return records;
}

Result<std::unique_ptr<RecordStore>> replace_damaged_sqlite(const std::string& path) {
  TRY(set_aside(path));
  return open_sqlite(path);
}

}  // namespace agentfs
