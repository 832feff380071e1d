# SPDX-License-Identifier: MIT
"""What a build, a test program or a check has come to."""
import dataclasses
import sys


@dataclasses.dataclass
class Outcome:
    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    output: str = ""        # shown when it failed
    notes: tuple = ()       # shown in any case
    which: dict = dataclasses.field(default_factory=dict)  # of several: names that failed, and why

    def title(self):
        return self.name + (f" ({', '.join(self.which)})" if self.which else "")


def tell(outcome):
    word = "FAILED " if outcome.failed else "ok     "
    counts = f"{outcome.passed}" + (f", {outcome.skipped} skipped" if outcome.skipped else "")
    counts += f", {outcome.failed} failed" if outcome.failed else ""
    print(f"  {word} {outcome.name}  ({counts})  {outcome.seconds:.1f} s")
    for note in outcome.notes:
        print(f"          {note}")
    if outcome.failed and outcome.output:
        print("\n".join("    | " + line for line in outcome.output.rstrip().splitlines()))
    sys.stdout.flush()
    return outcome
