# SPDX-License-Identifier: MIT
import pathlib
import subprocess
import tempfile
import unittest

import fixtures

NOTHING_INSTALLED = "exit 1\n"


class Deps(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = pathlib.Path(holder.name)

    def deps(self, *words, **shims):
        path = fixtures.shims(self.top, **shims)
        return subprocess.run(["bash", fixtures.ROOT / "scripts/deps", *words], check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env={"PATH": path, "TOP": str(self.top)})

    def test_check_names_what_lacks(self):
        seen = self.deps("--check", "run", dpkg_query=NOTHING_INSTALLED, apt_get="exit 9\n")
        self.assertEqual(seen.returncode, 1)
        self.assertIn("bubblewrap", seen.stdout.split())

    def test_is_silent_when_all_is_there(self):
        # Answers for every name, also for the alternatives.
        every = 'shift 2; for name; do printf "installed:%s " "$name"; done\n'
        seen = self.deps(dpkg_query=every, apt_get="exit 9\n")
        self.assertEqual((seen.returncode, seen.stdout, seen.stderr), (0, "", ""))

    def test_root_installs_only_what_lacks(self):
        some = 'shift 2; for name; do [ "$name" = fuse3 ] || printf "installed:%s " "$name"; done\n'
        seen = self.deps("run", dpkg_query=some, id="echo 0\n",
                         apt_get='printf "%s\\n" "$*" >>"$TOP/log"\n')
        self.assertEqual(seen.returncode, 0, seen.stderr)
        log = (self.top / "log").read_text(encoding="utf-8").splitlines()
        self.assertTrue(log[0].endswith(" update"))
        self.assertTrue(log[1].endswith("install -y --no-install-recommends fuse3"))
        self.assertEqual(len(log), 2)

    def test_an_ordinary_user_is_told_the_command(self):
        seen = self.deps("run", dpkg_query=NOTHING_INSTALLED, id="echo 1000\n", sudo="exit 1\n",
                         apt_get="exit 9\n")
        self.assertEqual(seen.returncode, 1)
        self.assertIn("apt-get install", seen.stderr)

    def test_a_failing_apt_is_shown(self):
        seen = self.deps("run", dpkg_query=NOTHING_INSTALLED, id="echo 0\n",
                         apt_get="echo no network >&2; exit 100\n")
        self.assertEqual(seen.returncode, 1)
        self.assertIn("no network", seen.stderr)

    def test_a_newer_libfuse_that_cannot_be_had_is_no_failure(self):
        # With its packages there and a mirror that does not answer.
        every = 'shift 2; for name; do printf "installed:%s " "$name"; done\n'
        fails = 'case $* in indextargets*) echo mirror:/ ;; *) exit 100 ;; esac\n'
        path = fixtures.shims(self.top, dpkg_query=every, pkg_config="exit 1\n", apt_get=fails)
        self.tells_once(path)
        self.assertFalse((self.top / "fuse/install").exists())

    def test_packages_of_a_newer_libfuse_that_cannot_be_had_are_no_failure(self):
        others = ('shift 2; for name; do case $name in meson) ;; *) '
                  'printf "installed:%s " "$name" ;; esac; done\n')
        self.tells_once(fixtures.shims(self.top, dpkg_query=others, pkg_config="exit 1\n",
                                       id="echo 0\n", apt_get="exit 100\n"))

    def tells_once(self, path):
        # The reason once; an hour's peace from then on, but for who asks for nothing else.
        for groups, told in (["run", "fuse"], 1), (["run", "fuse"], 0), (["fuse"], 1):
            seen = subprocess.run(["bash", fixtures.ROOT / "scripts/deps", *groups], check=False,
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL,
                                  env={"PATH": path, "AGENTFS_BUILD": str(self.top)})
            self.assertEqual(seen.returncode, 0, seen.stderr)
            self.assertEqual(len(seen.stderr.splitlines()), told, seen.stderr)

    def test_a_libfuse_that_is_built_is_left_alone(self):
        library = self.top / "fuse/install/lib/pkgconfig/fuse3.pc"
        library.parent.mkdir(parents=True)
        library.touch()
        path = fixtures.shims(self.top, dpkg_query="exit 9\n", apt_get="exit 9\n")
        seen = subprocess.run(["bash", fixtures.ROOT / "scripts/deps", "fuse"], check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env={"PATH": path, "AGENTFS_BUILD": str(self.top)})
        self.assertEqual((seen.returncode, seen.stdout, seen.stderr), (0, "", ""))


SOURCE = r"""
#define MACRO(x) do { x; } while (0)
namespace a {
constexpr auto kTable = files<Process>({
    {.name = "a{b", .read = show},
});
class AGENTFS_TSA(capability("mutex")) Mutex {
 public:
  Mutex() : value_{1} {}
  bool operator==(const Mutex& other) const {
    // a brace in a comment {
    return other.value_ == value_ && text == R"(})" && letter != '}' && number == 1'000;
  }
};
template <class T>
Result<T> get(T otherwise = {}) {
  const auto f = [&](int a) {
    return a;
  };
  return f(1);
}
}  // namespace a
"""


class Size(unittest.TestCase):
    def sizes(self, name, text):
        with tempfile.TemporaryDirectory() as top:
            path = pathlib.Path(top, "src", name)
            path.parent.mkdir()
            path.write_text(text, encoding="utf-8")
            seen = subprocess.run([fixtures.ROOT / "scripts/check-size", top], check=False,
                                  capture_output=True, text=True)
        return seen.returncode, seen.stdout

    def test_measures_functions_and_nothing_else(self):
        code, output = self.sizes("a.cpp", SOURCE)
        self.assertEqual(code, 0, output)
        self.assertIn("functions: 3, ", output)
        self.assertIn("   7 of 50  src/a.cpp:15 get", output)

    def test_finds_what_is_over_budget(self):
        body = "int f() {\n" + "  g();\n" * 60 + "}\n"
        self.assertIn("62 of 50  src/a.cpp:1 f", self.sizes("a.cpp", body)[1])
        self.assertEqual(self.sizes("a.cpp", body)[0], 1)
        self.assertEqual(self.sizes("a.h", "\n" * 201)[0], 1)
        self.assertEqual(self.sizes("a.h", "// " + "x" * 98 + "\n")[0], 1)


class MountHelper(unittest.TestCase):
    def command(self, *words):
        seen = subprocess.run([fixtures.ROOT / "share/mount.agentfs", *words], check=True,
                              capture_output=True, text=True)
        return seen.stdout.strip()

    def test_makes_the_command_of_an_fstab_line(self):
        self.assertEqual(
            self.command("/var/lib/x", "/mnt", "-fv", "-o",
                         "rw,defaults,noauto,x-systemd.automount,allow_other,ro"),
            "agentfs mount --state /var/lib/x -o allow_other,ro /mnt")

    def test_none_means_the_default_state(self):
        self.assertEqual(self.command("none", "/mnt", "-n", "-f", "-v"), "agentfs mount /mnt")


if __name__ == "__main__":
    unittest.main()
