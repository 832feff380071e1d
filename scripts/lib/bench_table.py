# SPDX-License-Identifier: MIT
"""What `scripts/bench workspaces` measured, as tables for people and numbers for programs."""
import datetime
import json
import os
import statistics
import time

SCALES = (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1))


def scaled(nanoseconds):
    unit, size = next((each for each in SCALES if nanoseconds >= each[1]), SCALES[-1])
    return f"{nanoseconds / size:.3g} {unit}"


def ratios(values, base):
    """Of each round to the same round's other place."""
    return [mine / other for mine, other in zip(values, base)]


def spread(values):
    return f"{min(values):.2f}–{max(values):.2f}"


def nanoseconds(moment):
    """Of a row's time, as 2026-01-02T03:04:05.678901234Z, since the epoch."""
    whole, _, fraction = moment.rstrip("Z").partition(".")
    second = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(second.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


def newest_rows(mnt):
    segments = sorted(path for path in (mnt / "sys/journal/segments").iterdir()
                      if path.suffix == ".jsonl")
    for path in segments[-2:]:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def checkpoint_time(mnt, workspace, name, seconds=300):
    """Nanoseconds between the row of a checkpoint and that of its commit, which is waited for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        made = None
        for row in newest_rows(mnt):
            data = row["data"]
            if row["kind"] == "tree.checkpoint" and data["path"] == f"/workspaces/{workspace}":
                made = row["time"] if data["name"] == name else made
            if row["kind"] == "checkpoint.commit" and data["workspace"] == workspace and made \
                    and data["name"] == name:
                if "error" in data:
                    raise RuntimeError(f"checkpoint {name}: {data['error']}")
                return nanoseconds(row["time"]) - nanoseconds(made)
        time.sleep(0.05)
    raise RuntimeError(f"checkpoint {name} of {workspace}: no commit within {seconds} s")


def commit_time(mnt, pid):
    """Nanoseconds between the row of a process's first commit and the row before that, which is
    the end of the turn's last call."""
    before = None
    for row in newest_rows(mnt):
        if row["kind"] == "turn.commit" and row["data"]["pid"] == pid:
            return nanoseconds(row["time"]) - before
        before = nanoseconds(row["time"])
    raise RuntimeError(f"{mnt}: no commit of process {pid}")


class Result:
    """The numbers of one filesystem."""

    def __init__(self, run, lines, kind):
        self.lines, self.kind = lines, kind
        self.seen, self.work, self.requests = run.seen, run.work, run.requests
        self.rounds, self.files = run.rounds, run.sizes.files
        self.places, self.example = list(run.places), run.example
        self.features = run.own.features()
        self.version = run.own.run(run.own.agentfs, "--version").strip()

    def median(self, line, place):
        values = self.seen.get(line.name, {}).get(place)
        return statistics.median(values) if values else None

    def compared(self, line, place, base):
        """The ratios of the rounds between two places; nothing where one was not measured."""
        seen = self.seen.get(line.name, {})
        return ratios(seen[place], seen[base]) if place in seen and base in seen else []

    def asked(self, line):
        """Requests for one operation, the median of the rounds; None where nobody counted."""
        rounds = self.requests.get(line.name)
        return statistics.median(sum(each.values()) for each in rounds) if rounds else None

    def asked_by_kind(self, line):
        rounds = self.requests.get(line.name, [])
        names = sorted({name for each in rounds for name in each})
        kinds = {name: statistics.median(each.get(name, 0) for each in rounds) for name in names}
        return {name: round(number, 4) for name, number in kinds.items() if number > 0}

    def amount(self, line, place):
        value = self.median(line, place)
        if value is None:
            return ""
        return f"{value:.3g} MiB" if line.limit == "MiB" else scaled(value)

    def about(self):
        system = os.uname()
        on = [name for name, state in self.features.items() if state == "on"]
        return (f"{self.version}; {system.sysname} {system.release}, {os.cpu_count()} cores, "
                f"{'root' if os.geteuid() == 0 else 'ordinary user'}, state on {self.kind}; "
                f"{self.files:,} files; {self.rounds} rounds; on: {', '.join(on) or 'nothing'}")

    def show(self):
        print(f"\n{self.about()}")
        if self.example:
            print(f"SKIPPED where passthrough_hp has no figure: {self.example}")
        print(f"{'':44} {'target':>8} {'disk':>8} {'agentfs':>8} {'ratio':>6} {'range':>13} "
              f"{'cpu':>6} {'requests':>8} {'history':>7} {'cpu':>6} {'against':>7} {'example':>7}")
        for line in self.lines:
            self.show_line(line)
        print("ratio: agentfs to the disk, the median of the rounds' ratios; cpu: the same of the "
              "CPU's time, caller and\ndaemon; requests: of the host's kernel, for one operation "
              "(for one file, of a repository); history: time with\nit to that without, and CPU's time; "
              "against: time to that of the mount with other options; example: to that of\nlibfuse's "
              "passthrough_hp", flush=True)

    def show_line(self, line):
        compared = [] if line.limit else self.compared(line, "agentfs", "disk")
        asked = self.asked(line)
        columns = [line.goal(),
                   self.amount(line, "disk"), self.amount(line, "agentfs"),
                   f"{statistics.median(compared):.2f}" if compared else "",
                   spread(compared) if compared else self.spread_of_amounts(line),
                   self.middle_of_work(line, "disk"), "" if asked is None else f"{max(asked, 0):.3g}",
                   self.middle(line, "forgetful"), self.middle_of_work(line, "forgetful"),
                   self.middle(line, "against"),
                   self.middle(line, "example")]
        widths = (8, 8, 8, 6, 13, 6, 8, 7, 6, 7, 7)
        print(f"{line.title:44} " +
              " ".join(f"{text:>{width}}" for text, width in zip(columns, widths)))

    def spread_of_amounts(self, line):
        values = self.seen.get(line.name, {}).get("agentfs", [])
        if line.limit != "ms" or not values:
            return ""
        return spread([value / 1e6 for value in values])

    def middle_of_work(self, line, base):
        """Ratios of CPU time, which depend less on what else the machine does."""
        work = self.work.get(line.name, {})
        if line.limit or base not in work or not all(work[base]):
            return ""
        return f"{statistics.median(ratios(work['agentfs'], work[base])):.2f}"

    def middle(self, line, base):
        compared = self.compared(line, "agentfs", base)
        return f"{statistics.median(compared):.2f}" if compared else ""

    def numbers(self):
        return {"about": self.about(), "files": self.files, "rounds": self.rounds,
                "features": self.features, "skipped": self.example,
                "lines": {line.name: self.numbers_of(line) for line in self.lines}}

    def numbers_of(self, line):
        compared = self.compared(line, "agentfs", "disk")
        return {"title": line.title, "target": line.target, "unit": line.limit or "ratio",
                "measured": self.seen.get(line.name, {}),
                "ratio": statistics.median(compared) if compared else None,
                "range": [min(compared), max(compared)] if compared else None,
                "requests": self.asked(line), "requests_by_kind": self.asked_by_kind(line),
                "work": self.work.get(line.name, {}),
                "cpu_ratio": self.middle_of_work(line, "disk"),
                "cpu_to_history_off": self.middle_of_work(line, "forgetful"),
                "to_history_off": self.middle(line, "forgetful"),
                "to_against": self.middle(line, "against"),
                "cpu_to_against": self.middle_of_work(line, "against"),
                "to_example": self.middle(line, "example")}


def beside(results):
    """The ratios of each filesystem in one table."""
    kinds = list(results.values())
    print(f"\n{'':44} {'target':>8} " + " ".join(f"{result.kind:>12}" for result in kinds))
    for line in kinds[0].lines:
        columns = []
        for result in kinds:
            compared = [] if line.limit else result.compared(line, "agentfs", "disk")
            columns.append(f"{statistics.median(compared):.2f}" if compared else
                           result.amount(line, "agentfs"))
        print(f"{line.title:44} {line.goal():>8} " + " ".join(f"{text:>12}" for text in columns))
