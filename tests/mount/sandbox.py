#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a command cannot do, from /dev/local/exec and from an agent's exec tool."""
import http.server
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading
import time

from mount_lib import (MNT, STATE, TESTDIR, Mount, expect, expect_eq, expect_errno, expect_has,
                       is_alive, main, need, read, run, tell, wait_until)

mount = Mount()
SECRET = "a-secret-of-the-host-4c1f"


def in_workspace(line, seconds=60, code=None):
    """Runs a line on /dev/local from the workspace: output and ending."""
    os.chdir(mount / "workspaces/w")
    output, ending = mount.exec(line, seconds=seconds)
    os.chdir("/")
    if code is not None:
        expect_eq(ending["exit"], str(code), f"exit of {line!r} ({output!r})")
    return output, ending


def by_agent(line):
    """The same through the exec tool of an agent."""
    scenario = {"name": "one", "tasks": [{"match": "*", "after": "Done.", "steps": [
        {"text": "I run it.", "calls": [{"name": "exec", "arguments": {"command": line}}]}]}]}
    mount.script_model("one", scenario)
    pid = mount.spawn("name=runner model=one workspace=w")
    tell(mount.proc(pid, "chat"), "run\n")
    mount.wait(pid)
    return mount.get(pid, "calls/1/result")


def everywhere(line):
    """The output by a person and by an agent."""
    return in_workspace(line)[0], by_agent(line)


def prepare():
    """Two workspaces, a secret beside them, and links that lead out."""
    need("bwrap")
    for name in ("w", "other"):
        (mount / f"workspaces/{name}").mkdir()
    (mount / "workspaces/other/secret").write_text(SECRET)
    (TESTDIR / "secret").write_text(SECRET)
    pathlib.Path(os.environ["HOME"], "secret").write_text(SECRET)
    folder = mount / "workspaces/w"
    for name, target in (("shadow", "/etc/shadow"), ("state", STATE), ("mnt", MNT),
                         ("up", "../../../../../../.."), ("testdir", TESTDIR),
                         ("other", "../other"), ("host-root", "/proc/1/root")):
        os.symlink(target, folder / name)


def sees_no_files_of_the_host():
    """Neither the mount's control files, nor other workspaces, nor files of the host."""
    places = [f"{MNT}", f"{MNT}/proc/clone", f"{STATE}", f"{STATE}/keys", "/etc/shadow",
              "/workspaces/other", f"{TESTDIR}/secret", f"{os.environ['HOME']}/secret", "/root",
              "/proc/clone", "/sys/journal", "/sys/kernel/pid", "/etc/models", "/var/lib", "/boot",
              "/dev/fuse", "/dev/kmsg", "/dev/mem", "/run/dbus", "/dev/local", "/work"]
    test = "; ".join(f"test -e {place} && echo SEEN {place}" for place in places)
    for output in everywhere(test + "; echo end"):
        expect("SEEN" not in output, output)
        expect_has(output, "end", "the output")
    test = "; ".join(f"cat {name} {name}/secret {name}/keys/* {name}/proc/clone "
                     f"{name}/etc/shadow 2>&1" for name in
                     ("shadow", "state", "mnt", "up", "testdir", "other", "host-root"))
    for output in everywhere(test + "; echo end"):
        for word in (SECRET, "root:x:", "root:*:", "PRIVATE", "name=NAME"):
            expect(word not in output, f"{word} through a link: {output}")
    search = ("find / -mindepth 1 -maxdepth 1 ! -type l ! -name proc ! -name usr "
              f"-exec grep -rsl {SECRET} {{}} +; echo end")
    for output in everywhere(search):
        expect_eq(output.splitlines()[0], "end", "files with the secret")


def changes_nothing_of_the_host():
    """The system is read-only, and no way leads around that."""
    for line in ("echo x >/usr/bin/x", "echo x >/etc/passwd", "mount -t tmpfs none /mnt",
                 "mkdir /new", "mknod /tmp/null c 1 3", "chroot / true", "unshare -Ur true",
                 "mount -o remount,rw /", "echo 1 >/proc/sys/kernel/hostname",
                 "umount /workspaces/w", "hostname other"):
        output, ending = in_workspace(line + " 2>&1")
        expect(ending["exit"] != "0", f"{line!r} succeeded: {output!r}")
    output, _ = in_workspace("grep -i -e CapEff -e NoNewPrivs -e '^Seccomp:' /proc/self/status")
    expect_eq([line.split()[1] for line in output.splitlines()], ["0000000000000000", "1", "2"],
              "capabilities, no_new_privs, seccomp")


def has_no_network():
    """Nothing of the host's network: neither its loopback nor abstract sockets."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0agentfs-test")
        abstract.listen()
        tried = ("import socket\n"
                 "def attempt(family, address):\n"
                 "  try:\n"
                 "    s = socket.socket(family); s.settimeout(2); s.connect(address)\n"
                 "    print('CONNECTED', address)\n"
                 "  except OSError as e: print('refused', e)\n"
                 f"attempt(socket.AF_INET, ('127.0.0.1', {port}))\n"
                 "attempt(socket.AF_UNIX, '\\0agentfs-test')\n"
                 "attempt(socket.AF_INET, ('10.0.0.1', 80))\n")
        (mount / "workspaces/w/connect.py").write_text(tried)
        for output in everywhere("python3 connect.py; ls /sys/class/net /proc/net/dev 2>&1"):
            expect("CONNECTED" not in output, output)
            expect_eq(output.count("refused ["), 3, output)
    expect_eq(asked, [], "what the server on the host was asked")
    server.shutdown()


def own_namespace():
    """Whether a command has a pid namespace of its own; what follows relies on it."""
    inside = in_workspace("readlink /proc/self/ns/pid")[0].strip()
    expect(inside.startswith("pid:") and inside != os.readlink("/proc/self/ns/pid"),
           f"a command runs in pid namespace {inside}, which is the host's")


def touches_no_process():
    """Commands neither see nor end processes of the host, nor outlive their own end."""
    own_namespace()
    output, _ = in_workspace("ls -d /proc/[0-9]* | wc -l; cat /proc/[0-9]*/comm")
    expect(int(output.splitlines()[0]) < 10, f"processes that are seen: {output}")
    expect("agentfs-watch" not in output, output)
    with subprocess.Popen(["sleep", "300"]) as bystander:
        watcher, daemon = mount.watcher(), mount.answers()
        in_workspace("kill -9 -1; sleep 1; echo survived")
        in_workspace("kill -9 1; kill -9 -$$; kill -9 0; sleep 1; echo survived")
        for pid in (bystander.pid, watcher, daemon):
            expect(is_alive(pid), f"{pid} was killed from inside")
        bystander.kill()
    begun = time.monotonic()
    in_workspace("(setsid sleep 3177 &) ; sleep 3177 & nohup sleep 3177 & echo out")
    expect(time.monotonic() - begun < 20, "the command's end waited for its background processes")
    wait_until(10, lambda: not with_argument("3177"), "the end of background processes")


def with_argument(word):
    """Pids of processes that were given this argument."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words and words[0].endswith(b"sleep"):
            found.append(int(entry))
    return found


def is_bounded():
    """Output, time, memory and processes have limits, and the reply says so."""
    output, ending = in_workspace("yes 0123456789 | head -c 8000000; echo the end")
    expect(len(output) <= (1 << 20) + 1000, f"{len(output)} bytes of output")
    expect(int(ending["truncated"]) > 6000000, f"truncated={ending['truncated']}")
    device = mount / "etc/devices/local.toml"
    device.write_text('timeout_ms = 700\nprocesses = 20\nmemory_bytes = 100000000\n')
    begun = time.monotonic()
    _, ending = in_workspace("sleep 3178 & sleep 3178")
    expect_eq(ending.get("ended_by"), "timeout", f"a command that takes too long: {ending}")
    expect(time.monotonic() - begun < 15, "the timeout came late")
    wait_until(10, lambda: not with_argument("3178"), "the end of what ran too long")
    device.write_text('processes = 20\nmemory_bytes = 100000000\ntimeout_ms = 20000\n')
    output, _ = in_workspace("for i in $(seq 60); do sleep 3 & done 2>&1; echo")
    expect("fork" in output.lower() or "resource" in output.lower(), f"60 of 20: {output!r}")
    _, ending = in_workspace("python3 -c 'x = bytearray(400000000); print(len(x))' 2>&1")
    expect(ending["exit"] != "0" or ending["signal"] not in ("", "0"), f"memory: {ending}")
    device.unlink()
    in_workspace("echo fine", code=0)


def child_of(pid):
    """The state of a process's first child."""
    child = read(f"/proc/{pid}/task/{pid}/children").split()
    return read(f"/proc/{child[0]}/status") if child else ""


def ends_with_its_writer():
    """Ctrl-C during write(2) ends the command, and so does the death of who wrote."""
    for number, word in ((signal.SIGINT, "3181"), (signal.SIGKILL, "3182")):
        line = f"import os; f = os.open('exec', os.O_RDWR); os.write(f, b'sleep {word}\\n')"
        with subprocess.Popen(["python3", "-c", line], cwd=mount / "dev/local",
                              stderr=subprocess.DEVNULL) as writer:
            wait_until(20, lambda word=word: with_argument(word), "the command")
            writer.send_signal(number)
            writer.wait(20)
        wait_until(10, lambda word=word: not with_argument(word), "the command's end")


def goes_on_beside_background_jobs():
    """The end of another of its children interrupts a shell, which wants its command all the same."""
    line = "sleep 0.2 & sleep 0.4 & echo 'sleep 1; echo whole; sleep 1' >exec && cat exec; wait"
    seen = run(["bash", "-c", line], cwd=mount / "dev/local")
    expect_has(seen, "whole", "the reply")
    expect_has(seen, "# exit=0 signal= ", "the reply")
    # An interrupt that comes after such news ends it as ever.
    line = """
import os, signal, subprocess
signal.signal(signal.SIGCHLD, lambda *_: None)
child = subprocess.Popen(["sleep", "0.3"])  # held, or it is reaped with its object
f = os.open("exec", os.O_RDWR)
os.write(f, b"sleep 3184\\n")
"""
    with subprocess.Popen(["python3", "-c", line], cwd=mount / "dev/local",
                          stderr=subprocess.DEVNULL) as writer:
        wait_until(20, lambda: with_argument("3184"), "the command")
        wait_until(20, lambda: "\nState:\tZ" in child_of(writer.pid), "the end of the child")
        expect(with_argument("3184"), "the child's end has ended the command")
        writer.send_signal(signal.SIGINT)
        writer.wait(20)
    wait_until(10, lambda: not with_argument("3184"), "the command's end")


def ends_with_the_daemon():
    """What a killed daemon ran is dead before another one serves."""
    own = Mount.of("own")
    own.mount()
    with subprocess.Popen(["sh", "-c", "echo 'sleep 3183' >exec"], cwd=own / "dev/local",
                          stderr=subprocess.DEVNULL) as writer:
        wait_until(20, lambda: with_argument("3183"), "the command")
        daemon = own.daemon()
        os.kill(daemon, signal.SIGKILL)
        expect(writer.wait(20) != 0, "the writer had success from a daemon that died")
    wait_until(10, lambda: not with_argument("3183"), "the command's end")
    wait_until(20, lambda: own.answers() != daemon, "another daemon")
    own.umount()


def tools_stay_in_the_mount():
    """Paths of an agent's tools do not lead out of the mount, nor links out of their tree."""
    wanted = [("read", {"path": "shadow"}), ("read", {"path": "state/keys/journal.ed25519"}),
              ("read", {"path": "testdir/secret"}), ("read", {"path": "up/etc/shadow"}),
              ("read", {"path": "../../../../../../etc/shadow"}),
              ("read", {"path": f"../../../../../..{TESTDIR}/secret"}),
              ("read", {"path": "/../../etc/passwd"}), ("read", {"path": "host-root/etc/shadow"}),
              ("list", {"path": "state"}), ("search", {"path": "up/etc", "pattern": "root"}),
              ("search", {"path": "testdir", "pattern": "secret"}),
              ("write", {"path": "testdir/written", "text": "x"}),
              ("edit", {"path": "testdir/secret", "old_text": "a-", "new_text": "b-"}),
              ("delete", {"path": "testdir/secret"}),
              ("exec", {"command": "true", "cwd": "testdir"}),
              ("exec", {"command": "true", "cwd": "/workspaces/other"})]
    steps = [{"text": "I try.", "calls": [{"name": name, "arguments": arguments}]}
             for name, arguments in wanted]
    mount.script_model("out", {"name": "out", "tasks": [
        {"match": "*", "after": "Done.", "steps": steps}]})
    pid = mount.spawn("name=outward model=out workspace=w")
    tell(mount.proc(pid, "chat"), "try\n")
    mount.wait(pid, 120)
    for n, (name, arguments) in enumerate(wanted, 1):
        result = mount.get(pid, f"calls/{n}/result")
        expect_eq(mount.get(pid, f"calls/{n}/state").strip(), "failed",
                  f"{name} {arguments} ({result!r})")
        for word in (SECRET, "root:x:", "root:*:", "journal.ed25519\n"):
            expect(word not in result, f"{name} {arguments}: {result!r}")
    expect_eq(read(TESTDIR / "secret"), SECRET, "the file outside")
    expect(not (TESTDIR / "written").exists(), "a file was written outside")


def leaves_no_traps():
    """What a command leaves in its workspace has no powers outside."""
    in_workspace("cp /usr/bin/id planted; chmod 6755 planted; mkfifo pipe; "
                 "ln -s /etc/shadow planted-link; mknod device c 1 3 2>/dev/null")
    folder = mount / "workspaces/w"
    options = next(line for line in read("/proc/self/mountinfo").splitlines()
                   if f" {MNT} " in line).split()[5].split(",")
    expect("nosuid" in options and "nodev" in options, f"mount options: {options}")
    expect(not (folder / "device").exists()
           or not stat.S_ISCHR(os.lstat(folder / "device").st_mode), "a device was made")


def without_bubblewrap():
    """Where no sandbox is to be had, nothing is run, and the sentence says why."""
    stub = TESTDIR / "stub"
    stub.mkdir()
    (stub / "bwrap").write_text("#!/bin/sh\necho 'no namespaces here' >&2\nexit 1\n")
    (stub / "bwrap").chmod(0o755)
    own = Mount.of("stub-mount")
    own.mount(env=os.environ | {"PATH": f"{stub}:{os.environ['PATH']}"})
    marker = TESTDIR / "ran-unconfined"
    expect_errno("EPERM", own.exec, f"touch {marker}; echo ran")
    expect(not marker.exists(), "the command ran unconfined")
    expect_has(own.last_error(), "bwrap", "the newest error")
    own.umount()


def sandbox_none():
    """An owner can do without; the device says so."""
    own = Mount.of("none")
    own.mount()
    expect_has(read(own / "dev/local/info"), '"sandbox": "bwrap"', "info")
    (own / "etc/devices/local.toml").write_text('sandbox = "none"\n')
    marker = TESTDIR / "ran-by-leave"
    output, ending = own.exec(f"touch {marker}; echo done")
    expect_eq((output, ending["exit"]), ("done\n", "0"), "a command without a sandbox")
    expect(marker.exists(), "it was confined after all")
    expect_has(json.loads(read(own / "dev/local/info"))["sandbox"], "none", "info")
    _, ending = own.exec("exit 3")
    expect_eq(ending["exit"], "3", "exit")
    own.umount()


main(prepare, sees_no_files_of_the_host, changes_nothing_of_the_host, has_no_network,
     touches_no_process, is_bounded, ends_with_its_writer, goes_on_beside_background_jobs, ends_with_the_daemon,
     tools_stay_in_the_mount, leaves_no_traps, without_bubblewrap, sandbox_none)
