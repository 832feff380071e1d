// SPDX-License-Identifier: MIT
// What the log over files promises beyond every log: what a crash leaves is found again.
#include <sys/resource.h>

#include <csignal>

#include "backends/segments/segments.h"
#include "base/text.h"
#include "catch.h"
#include "support/temporary.h"
#include "unit/stores/killed.h"

namespace agentfs {
namespace {

struct SegmentJournal {
  test::TemporaryDirectory directory;
  std::string segments = directory.path("journal/segments");
  std::string first = segments + "/000000000001.jsonl";
  std::unique_ptr<LogStore> open() const { return open_segments(segments).value(); }
  std::string torn(std::string_view name) const {
    return test::slurp(directory.path("journal/") + std::string(name));
  }
};

// Files can grow to `bytes` only, as if the disk were full then.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

int open_descriptors(const std::string& below) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(entry.path(), error);
    if (!error && target.starts_with(below)) ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("a log of files goes on where it ended", "[segments]") {
  const SegmentJournal journal;
  {
    const auto log = journal.open();
    REQUIRE(log->append("one\n"));
    REQUIRE(log->roll(2));
    REQUIRE(log->append("two\n"));
    CHECK(log->segments()[1].host_path == journal.segments + "/000000000002.jsonl");
  }
  const auto log = journal.open();
  REQUIRE(log->append("three\n"));
  REQUIRE(log->sync());
  CHECK(log->read("000000000002.jsonl").value() == "two\nthree\n");
  CHECK(test::slurp(journal.first) == "one\n");
}

TEST_CASE("a torn line is cut off and kept", "[segments]") {
  const SegmentJournal journal;
  test::spit(journal.first, "one\ntwo\n{\"half");
  {
    const auto log = journal.open();
    CHECK(log->segments()[0].size == 8);
    CHECK(journal.torn("torn-000000000001-8") == "{\"half");
    REQUIRE(log->append("three\n"));
    CHECK(test::slurp(journal.first) == "one\ntwo\nthree\n");
  }
  // Torn at the same place once more: the first is not overwritten.
  test::spit(journal.first, std::string("one\ntwo\n\0\0\0", 11));
  CHECK(journal.open()->read("000000000001.jsonl").value() == "one\ntwo\n");
  CHECK(journal.torn("torn-000000000001-8") == "{\"half");
  CHECK(journal.torn("torn-000000000001-8-2") == std::string("\0\0\0", 3));
}

TEST_CASE("a long torn line, and nothing but one", "[segments]") {
  const SegmentJournal journal;
  const std::string long_line(200'000, 'x');
  test::spit(journal.first, "one\n" + long_line);
  CHECK(journal.open()->segments()[0].size == 4);
  CHECK(journal.torn("torn-000000000001-4") == long_line);
  test::spit(journal.first, long_line);
  CHECK(journal.open()->segments()[0].size == 0);
  CHECK(journal.torn("torn-000000000001-0") == long_line);
}

TEST_CASE("damage in an earlier segment stays as evidence", "[segments]") {
  const SegmentJournal journal;
  test::spit(journal.first, "one\nhal");
  test::spit(journal.segments + "/000000000003.jsonl", "three\n");
  const auto log = journal.open();
  CHECK(log->segments()[0].size == 4);
  CHECK(log->read("000000000001.jsonl").value() == "one\n");
  CHECK(test::slurp(journal.first) == "one\nhal");
}

TEST_CASE("segments are ordered by number and strangers left alone", "[segments]") {
  const SegmentJournal journal;
  test::spit(journal.segments + "/1000000000000.jsonl", "later\n");
  test::spit(journal.segments + "/999999999999.jsonl", "sooner\n");
  test::spit(journal.segments + "/notes.jsonl", "mine");
  test::spit(journal.segments + "/000000000001.jsonl~", "mine");
  const auto log = journal.open();
  REQUIRE(log->segments().size() == 2);
  CHECK(log->segments()[0].name == "999999999999.jsonl");
  CHECK(log->segments()[1].name == "1000000000000.jsonl");
  CHECK(test::slurp(journal.segments + "/notes.jsonl") == "mine");
}

TEST_CASE("an append that fails half way leaves the log as it was", "[segments]") {
  const SegmentJournal journal;
  const auto log = journal.open();
  REQUIRE(log->append("kept\n"));
  {
    const SizeLimit limit(12);
    const auto failed = log->append("this line does not fit\n");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == EFBIG);
    CHECK_THAT(failed.error().message, Catch::Matchers::has(journal.first));
    CHECK(test::slurp(journal.first) == "kept\n");
    CHECK(log->segments()[0].size == 5);
    CHECK(log->append("short\n"));
  }
  REQUIRE(log->append("this line fits again\n"));
  CHECK(test::slurp(journal.first) == "kept\nshort\nthis line fits again\n");
}

TEST_CASE("one descriptor is open however many segments there are", "[segments]") {
  const SegmentJournal journal;
  const auto log = journal.open();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    REQUIRE(log->roll(i));
    REQUIRE(log->append("x\n"));
    REQUIRE(log->read(log->segments()[0].name));
  }
  CHECK(open_descriptors(journal.directory.path()) == 1);
}

TEST_CASE("a directory that cannot be made or used is an error", "[segments]") {
  const SegmentJournal journal;
  test::spit(journal.directory.path("journal"), "a file");
  const auto log = open_segments(journal.segments);
  REQUIRE_FALSE(log);
  CHECK(log.error().code == ENOTDIR);
}

TEST_CASE("a segment that shrank under the log is damage", "[segments]") {
  const SegmentJournal journal;
  const auto log = journal.open();
  REQUIRE(log->append("one\ntwo\n"));
  std::filesystem::resize_file(journal.first, 4);
  CHECK(log->read("000000000001.jsonl").error().code == EBADMSG);
}

TEST_CASE("what was appended survives kill -9", "[segments]") {
  const SegmentJournal journal;
  std::unique_ptr<LogStore> killed;  // opened by the child
  const auto acknowledged = test::run_and_kill(300, [&](std::uint64_t n) {
    if (!killed) killed = journal.open();
    return killed->append(fmt::format("{}\n", n)) && (n % 100 != 0 || killed->roll(n + 1));
  });
  REQUIRE(acknowledged >= 300);
  const auto log = journal.open();
  std::uint64_t expected = 0;
  for (const SegmentInfo& segment : log->segments()) {
    const std::string bytes = log->read(segment.name).value();
    for (const auto line : text::lines(bytes)) {
      CHECK(text::number<std::uint64_t>(line) == ++expected);
    }
  }
  CHECK(expected >= acknowledged);
}

}  // namespace agentfs
