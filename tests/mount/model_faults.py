#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models that fail: each run ends with a reason, nothing hangs, no message is lost."""
import json
import os
import socket
import subprocess
import time

import model_server
from model_server import DONE, called, delta, event, said, text, usage
from mount_lib import (Mount, expect, expect_eq, expect_errno, expect_has, main, tell, wait_until)

mount = Mount()
FAST = {"max_attempts": 2, "backoff_ms": 10, "idle_timeout_ms": 1500, "connect_timeout_ms": 1500,
        "total_timeout_ms": 4000}
FINE = "All is well again."


class Faulty:
    """A model of its own for one fault; told "go on", the server is well again."""

    def __init__(self, name, behave, **settings):
        self.name, self.behave = name, behave
        self.well = False
        self.server = model_server.ModelServer(self.answer)
        mount.model(name, **({"base_url": self.server.base_url, "model": "little"} | FAST
                             | settings))
        self.pid = mount.spawn(f"name={name} model={name}")
        self.message = f"Please do {name}."

    def answer(self, exchange):
        if self.well:
            exchange.stream(said(FINE))
        else:
            self.behave(exchange)

    def send(self):
        tell(mount.proc(self.pid, "chat"), self.message + "\n")
        return self

    def get(self, name):
        return mount.get(self.pid, name)

    def outcome(self):
        return json.loads(self.get("_object.json"))["run"]["outcome"]

    def fails(self, *pieces, seconds=20):
        """The run ends failed, and its reason, chat and errors say these words."""
        self.send()
        reason = mount.wait(self.pid, seconds)
        expect_eq(self.outcome(), "failed", f"{self.name}: the outcome ({reason!r})")
        for where, seen in (("wait", reason), ("chat", self.get("chat"))):
            for piece in pieces:
                expect_has(seen, piece, f"{self.name}: {where}")
        expect_has(self.get("chat"), "failed", f"{self.name}: chat")
        expect(self.get("errors").strip(), f"{self.name}: nothing in errors")
        expect_eq(mount.state_of(self.pid), "idle", f"{self.name}: the state")
        return self.goes_on()

    def goes_on(self):
        """No message was lost, and the next one is answered."""
        expect_has(self.get("chat"), self.message, f"{self.name}: chat")
        self.well = True
        tell(mount.proc(self.pid, "chat"), "And now?\n")
        expect_eq(mount.wait(self.pid, 20).strip(), FINE, f"{self.name}: the next answer")
        sent = [m["content"] for m in self.server.requests[-1].messages if m["role"] == "user"]
        expect_eq(sent[-2:], [self.message, "And now?"], f"{self.name}: what the model is sent")
        expect_has(self.get("status"), "Outcome:\tanswered\n", f"{self.name}: status")
        self.server.close()
        return self

    def asked(self, times):
        """How often the server was asked before it was well."""
        expect_eq(len(self.server.requests) - 1, times, f"{self.name}: requests")


def refusals():
    """Codes that do not get better end the run at once, others after the tries that there are."""
    for code, tries, piece in ((400, 1, "answered 400"), (401, 1, "a key the server accepts"),
                               (403, 1, "answered 403"), (404, 1, "answered 404"),
                               (302, 1, "sends elsewhere"), (429, 2, "answered 429"),
                               (500, 2, "answered 500"), (503, 2, "answered 503")):
        fault = Faulty(f"code-{code}", lambda exchange, code=code: exchange.answer(
            code, {"error": {"message": f"because of {code}"}}, Location="http://127.0.0.1:1/"))
        fault.fails(piece, f"because of {code}").asked(tries)


def long_retry_after():
    """A Retry-After beyond the time that is given ends the run, instead of waiting for it."""
    fault = Faulty("later", lambda exchange: exchange.answer(429, {}, Retry_After="3600"))
    begun = time.monotonic()
    fault.fails("429", seconds=10)
    expect(time.monotonic() - begun < 10, "it waited")


def endpoint_down():
    """Nobody listens at base_url."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        fault = Faulty("down", None, base_url=f"http://127.0.0.1:{port}/v1")
        fault.send()
        expect_has(mount.wait(fault.pid, 20), "a server that listens at base_url", "wait")
    expect_eq(fault.outcome(), "failed", "the outcome")
    mount.model("down", base_url=fault.server.base_url, model="little", **FAST)
    fault.goes_on()


def bad_streams():
    """What is no answer: malformed, truncated, a web page, nothing."""
    Faulty("malformed", lambda e: e.stream([b"data: {not json\n\n"])).fails("JSON")
    Faulty("noise", lambda e: e.stream([b"\xff\xfe\x00garbage\n\n" * 20])).fails("stream")
    whole = b"".join(chunk if isinstance(chunk, bytes) else event(chunk) for chunk in said("Hi"))
    Faulty("truncated", lambda e: e.stream(said("Hi"), cut=len(whole) // 3)).fails("127.0.0.1")
    Faulty("unfinished", lambda e: e.stream([text("Half an ans")])).fails("ended before")
    Faulty("page", lambda e: e.answer(200, b"<html><body>Welcome to the router</body></html>",
                                      content_type="text/html")).fails("web page", "router")
    Faulty("blank", lambda e: e.answer(200, b"", content_type="text/event-stream")).fails(
        "empty body")
    Faulty("empty", lambda e: e.stream([delta("stop"), usage(5, 0), DONE])).fails("nothing")
    Faulty("error-event", lambda e: e.stream(
        [event({"error": {"message": "the model is overloaded"}})])).fails("overloaded")


def bad_calls():
    """Calls that cannot be made are told to the model, and the run goes on."""
    wrong = [("unknown", called("frobnicate", {}), "no such tool"),
             ("not-json", called("read", '{"path": "a'), "not valid JSON"),
             ("no-object", called("read", '["a"]'), "no JSON object"),
             ("missing", called("read", {}), "path"),
             ("extra", called("read", {"path": "x", "colour": "red"}), "colour"),
             ("type", called("read", {"path": 7}), "path"),
             ("huge", called("read", '{"path": "' + "a/" * 60000 + '"}'), "120000 bytes; up to 4095 would do")]
    for name, answer, piece in wrong:
        fault = Faulty(f"call-{name}", lambda exchange, answer=answer: exchange.stream(
            said(f"It said: {exchange.results()[0][:300]}") if exchange.results() else answer))
        fault.send()
        expect_has(mount.wait(fault.pid, 20), piece, f"{name}: what the model was told")
        expect_eq(fault.outcome(), "answered", f"{name}: the outcome")
        expect_eq(fault.get("calls/1/state"), "failed\n", f"{name}: the state of the call")
        fault.goes_on()


def silence():
    """A server that never answers: a limit ends it, a cancel does within a second."""
    Faulty("silent", never_answer, max_attempts=1).fails("no byte for idle_timeout_ms")
    for verb, outcome in (("cancel", "cancelled"), ("redirect Rather this.", None),
                          ("kill", None), ("term", None)):
        during_a_model_call(verb, outcome)


def never_answer(exchange):
    """Answers nothing, until who asked has gone."""
    exchange.handler.connection.settimeout(60)
    exchange.handler.connection.recv(1)


def during_a_model_call(verb, outcome):
    word = verb.split()[0]
    fault = Faulty(f"during-{word}", never_answer, idle_timeout_ms=60000, total_timeout_ms=60000)
    fault.send()
    wait_until(10, lambda: len(fault.server.requests) == 1, "the request")
    expect_eq(mount.state_of(fault.pid), "waiting-model", "the state")
    fault.well = word in ("redirect",)
    begun = time.monotonic()
    tell(mount.proc(fault.pid, "ctl"), verb + "\n")
    expect(time.monotonic() - begun < 1, f"{word} took {time.monotonic() - begun:.1f} s")
    if word == "term":  # it ends with the turn under way, so this one ends it
        expect_eq(mount.state_of(fault.pid), "draining", "the state after term")
        tell(mount.proc(fault.pid, "ctl"), "kill\n")
    answer = mount.wait(fault.pid, 10)
    expect(time.monotonic() - begun < 5, f"{word}: over after {time.monotonic() - begun:.1f} s")
    if word in ("kill", "term"):
        expect_eq(mount.state_of(fault.pid), "dead", f"the state after {word}")
        expect_has(answer, "kill", "wait")
        expect_has(fault.get("chat"), fault.message, "chat of a dead process")
        expect_errno("ESRCH", tell, mount.proc(fault.pid, "chat"), "more\n")
        fault.server.close()
        return
    if word == "redirect":
        expect_eq(answer.strip(), FINE, "the answer after a redirect")
        expect_has(fault.get("chat"), "Rather this.", "chat")
    else:
        expect_eq(fault.outcome(), outcome, "the outcome")
        fault.goes_on()


def deadline():
    """A deadline ends the process, also in the middle of a model call."""
    fault = Faulty("deadline", never_answer, idle_timeout_ms=60000, total_timeout_ms=60000)
    tell(mount.proc(fault.pid, "deadline"), "1s\n")
    fault.send()
    expect_has(mount.wait(fault.pid, 10), "deadline", "wait")
    expect_eq(mount.state_of(fault.pid), "dead", "the state")
    expect_has(fault.get("status"), "Exit:\tdeadline", "status")


def budgets():
    """A budget that is spent kills with the reason quota:<resource>."""
    endless = lambda e: e.stream(called("list", {"path": "/"}, (600, 50, 0),  # noqa: E731
                                        f"call_{e.number}"))
    for limit, resource in (("tokens=1000", "tokens"), ("usd=0.002", "usd"), ("calls=3", "calls"),
                            ("turns=2", "turns"), ("wall=1s", "wall")):
        fault = Faulty(f"quota-{resource}", endless, usd_per_million_in=1, usd_per_million_out=1)
        tell(mount.proc(fault.pid, "limits"), limit + "\n")
        fault.send()
        expect_has(mount.wait(fault.pid, 30), f"quota:{resource}", f"wait, {limit}")
        expect_eq(mount.state_of(fault.pid), "dead", f"the state, {limit}")
        expect_has(fault.get("status"), f"Exit:\tquota:{resource}", f"status, {limit}")
        if resource == "tokens":
            expect_eq(mount.usage(fault.pid)["tokens"], "1300", "tokens")
        if resource == "calls":
            expect_eq(mount.usage(fault.pid)["calls"], "3", "calls")
        fault.server.close()


def fallback():
    """Where one model cannot answer, the next does, at its own price."""
    well = Faulty("second", lambda e: e.stream(said("The second answers.", (1000, 100, 0))),
                  model="second-model", usd_per_million_in=3, usd_per_million_out=30)
    first = Faulty("first", lambda e: e.answer(503, {}), fallback=["second"],
                   usd_per_million_in=1, usd_per_million_out=1)
    first.send()
    expect_eq(mount.wait(first.pid, 20).strip(), "The second answers.", "the answer")
    expect_eq(well.server.requests[0].body["model"], "second-model", "the name the second is sent")
    first.goes_on()
    well.server.close()


def prices_of_fallbacks():
    """What a fallback answered is paid at its price, whatever name its server gives itself."""
    well = Faulty("dear", lambda e: e.stream(said("Dear.", (1000, 100, 400))),
                  model="dear-model", usd_per_million_in=3, usd_per_million_out=30)
    first = Faulty("cheap", lambda e: e.answer(503, {}), fallback=["dear"],
                   usd_per_million_in=1, usd_per_million_out=1)
    first.send()
    expect_eq(mount.wait(first.pid, 20).strip(), "Dear.", "the answer")
    # Cached tokens without a price of their own cost what others do.
    expect_eq(mount.usage(first.pid)["usd"], "0.006000", "usd")
    first.server.close()
    well.server.close()


def keys():
    """A key that is not to be had ends the run; one in an answer is not repeated."""
    missing = Faulty("key-missing", None, key_file="/nowhere/key")
    missing.send()
    expect_has(mount.wait(missing.pid, 20), "/nowhere/key", "wait")
    expect_eq(missing.outcome(), "failed", "the outcome")
    expect_eq(len(missing.server.requests), 0, "requests without a key")
    key = os.path.join(os.environ["TESTDIR"], "told-key")
    with open(key, "w", encoding="utf-8") as file:
        file.write("sk-told-77c1e09a\n")
    told = Faulty("key-told", lambda e: e.answer(401, {"error": {
        "message": "bad key " + e.headers["Authorization"]}}), key_file=key)
    told.fails("bad key")
    found = subprocess.run(["grep", "-r", "-l", "-a", "sk-told-77c1e09a", str(mount.mnt),
                            str(mount.state)], capture_output=True, text=True, check=False)
    expect_eq(found.stdout, "", "files that hold the key")


def end():
    """The journal is whole after all of it."""
    mount.verify()


main(refusals, long_retry_after, endpoint_down, bad_streams, bad_calls, silence, deadline, budgets,
     fallback, prices_of_fallbacks, keys, end)
