# SPDX-License-Identifier: MIT
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import fixtures

import command_line
import roff


def copy_of_the_tools(top):
    shutil.copytree(fixtures.ROOT / "scripts", top / "scripts")
    (top / "man").mkdir()
    for page in (fixtures.ROOT / "man").glob("*.in"):
        shutil.copy(page, top / "man")


class GenDocs(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = pathlib.Path(holder.name)
        copy_of_the_tools(self.top)
        self.binary = fixtures.describing_binary(self.top / "bin")

    def run_it(self, *words):
        return subprocess.run([self.top / "scripts/gen-docs", *words, self.binary],
                              capture_output=True, text=True, check=False)

    def test_writes_pages_that_man_takes_without_a_warning(self):
        made = self.run_it()
        self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
        page = (self.top / "man/agentfs-proc.7").read_text(encoding="utf-8")
        self.assertIn(".SS \"\\fB/proc/\\fP\\fIpid\\fP\"", page)
        self.assertIn("\\fBnice\\fP \\fIN\\fP", page)
        self.assertIn("\\&.starts with a dot", page)
        self.assertIn("unlisted", page)
        self.assertNotIn("@files", page)
        self.assertIn("base_url", (self.top / "man/agentfs.conf.5").read_text(encoding="utf-8"))

    def test_check_tells_what_is_out_of_date_and_writes_nothing(self):
        self.assertEqual(self.run_it("--check").returncode, 1)
        self.assertFalse((self.top / "man/agentfs.1").exists())
        self.run_it()
        self.assertEqual(self.run_it("--check").stdout, "")
        page = self.top / "man/agentfs-sys.7"
        page.write_text(page.read_text(encoding="utf-8") + ".PP\n", encoding="utf-8")
        seen = self.run_it("--check")
        self.assertEqual(seen.returncode, 1)
        self.assertIn("man/agentfs-sys.7: is out of date", seen.stdout)

    def test_tells_what_man_warns_of(self):
        if not shutil.which("man"):
            self.skipTest("man is not installed")
        page = self.top / "man/agentfs.1.in"
        page.write_text(page.read_text(encoding="utf-8") + ".NOSUCHMACRO\n", encoding="utf-8")
        seen = self.run_it()
        self.assertEqual(seen.returncode, 1)
        self.assertIn("NOSUCHMACRO", seen.stdout)

    def test_refuses_a_directory_that_no_page_describes(self):
        page = self.top / "man/agentfs.1.in"
        page.write_text(page.read_text(encoding="utf-8").replace("@files /", "@files /home"),
                        encoding="utf-8")
        seen = self.run_it()
        self.assertEqual(seen.returncode, 1)
        self.assertIn("no page has an @files marker for /", seen.stderr)

    def test_completions_are_programs_their_shells_take(self):
        self.run_it()
        made = self.top / "share/completions"
        for shell, name in (("bash", "agentfs.bash"), ("zsh", "_agentfs"), ("fish", "agentfs.fish")):
            if shutil.which(shell):
                seen = subprocess.run([shell, "-n", made / name], capture_output=True, text=True,
                                      check=False)
                self.assertEqual((seen.returncode, seen.stderr), (0, ""), name)

    def complete(self, *words):
        script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _agentfs; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        made = self.top / "share/completions/agentfs.bash"
        return subprocess.run(["bash", "-c", script, "-", made, *words], capture_output=True,
                              text=True, check=True, cwd=self.top).stdout.split()

    def test_bash_completes_commands_options_and_directories(self):
        self.run_it()
        self.assertEqual(self.complete("agentfs", "m"), ["mount"])
        self.assertIn("--state", self.complete("agentfs", "mount", "--s"))
        self.assertEqual(self.complete("agentfs", "mount", "--state", "ma"), ["man"])
        self.assertEqual(self.complete("agentfs", "umount", "scr"), ["scripts"])


class Parts(unittest.TestCase):
    def test_help_is_read(self):
        texts = {(): fixtures.HELP, ("mount",): fixtures.MOUNT_HELP,
                 ("umount",): fixtures.UMOUNT_HELP}
        found = command_line.read(lambda *words: texts[words[:-1]])
        self.assertEqual([c.name for c in found], ["", "mount", "umount"])
        state, foreground, options = found[1].options[1:]
        self.assertEqual((state.name, state.argument), ("--state", "DIR"))
        self.assertEqual(state.doc, "Where all that is kept lies; made when it is not there.")
        self.assertEqual((foreground.name, foreground.short), ("--foreground", "-f"))
        self.assertEqual((options.name, options.argument), ("-o", "TEXT"))
        self.assertEqual(found[1].positionals[0].name, "mountpoint")

    def test_nothing_in_a_text_is_a_request_or_an_escape(self):
        self.assertEqual(roff.escaped(".x\\n-o"), "\\&.x\\en\\-o")
        self.assertEqual(roff.prose("'tis --not"), "\\&'tis \\-\\-not")


if __name__ == "__main__":
    unittest.main()
