"""What a booted machine's serial output and its end say about the run: the one judge of run-qemu and run-bochs.

A runner feeds it the serial bytes and then the end (an exit status, or a timeout). The judge believes a pass
only when everything agrees: the exit status, a KTAP plan with all its results, no failed test, no panic. Each
other end has a status of its own, so that a script, CI and a person can tell them apart:

    0 pass           64 bad usage
    1 failure        a test failed, or the run said that it failed
    2 panic          the kernel stopped itself with a line that starts with "PANIC: "
    3 hang           the time was up; the last lines say where
    4 silence        nothing came from the kernel at all
    5 inconsistent   the parts contradict each other: a passing status with missing, doubled or no results, a
                     panic after "all passed", a reset, an emulator that died
    69 the emulator is not installed

KTAP is the kernel's TAP dialect: a version line, the plan 1..N, then "ok N name" or "not ok N name".
"""

import os
import re
import selectors
import signal
import subprocess
import sys
import time

PASS, FAILURE, PANIC, HANG, SILENCE, INCONSISTENT, USAGE, MISSING = 0, 1, 2, 3, 4, 5, 64, 69
NAMES = {PASS: "PASS", FAILURE: "FAILURE", PANIC: "PANIC", HANG: "HANG", SILENCE: "SILENCE",
         INCONSISTENT: "INCONSISTENT"}

# The values that QEMU's isa-debug-exit turns the kernel's 16, 17 and 18 into.
EXIT_PASS, EXIT_FAIL, EXIT_PANIC = 33, 35, 37

ESCAPES = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>cM78])|[\x00-\x08\x0b-\x1f\x7f]")
VERSION = re.compile(r"^(KTAP|TAP) version \d+\s*$")
PLAN = re.compile(r"^1\.\.(\d+)\s*(#.*)?$")
RESULT = re.compile(r"^(ok|not ok)\s+(\d+)\b\s*(.*)$")
SKIP = re.compile(r"#\s*SKIP\b", re.IGNORECASE)
FIRMWARE = re.compile(r"GRUB|SeaBIOS|iPXE|Booting|BdsDxe|Bochs|^\s*$|^[|/\\+_\-. ]*$")
TAIL_LINES = 12


class Judge:
    """Reads lines as they come, and judges at the end. expect: "test", "exit", "boot" or "none"."""

    def __init__(self, expect="test", text=None, status=None):
        self.expect = expect
        self.text = re.compile(text) if text else None
        self.status = status
        self.rest = b""
        self.lines = []
        self.plan = None
        self.results = []  # (number, passed, skipped, name)
        self.problems = []
        self.panic = None
        self.versions = 0
        self.text_seen = False
        self.kernel_spoke = False
        self.unfinished = False  # the output stopped in the middle of a line

    def feed(self, data):
        """Takes raw serial bytes."""
        self.rest += data
        *whole, self.rest = self.rest.split(b"\n")
        for raw in whole:
            self._line(raw)
        if self.text and not self.text_seen and self.text.search(clean(self.rest)):
            self.text_seen = True  # a prompt does not end in a newline

    def end(self):
        self.unfinished = self.unfinished or bool(self.rest)
        if self.rest:
            self._line(self.rest)
            self.rest = b""

    def _line(self, raw):
        line = clean(raw)
        self.lines.append(line)
        if not FIRMWARE.search(line):
            self.kernel_spoke = True
        if self.text and self.text.search(line):
            self.text_seen = True
        if line.startswith("PANIC: "):
            self.panic = self.panic or line
        elif VERSION.match(line):
            self.versions += 1
        elif line.startswith("Bail out!"):
            self.problems.append("the suite gave up: " + line)
        elif self.versions:
            self._ktap(line)

    def _ktap(self, line):
        plan, result = PLAN.match(line), RESULT.match(line)
        if plan:
            if self.plan is not None:
                self.problems.append("a second plan: " + line)
            self.plan = int(plan.group(1))
        elif result:
            number = int(result.group(2))
            if number != len(self.results) + 1:
                self.problems.append("result %d where %d was due" % (number, len(self.results) + 1))
            self.results.append((number, result.group(1) == "ok",
                                 bool(SKIP.search(result.group(3))), result.group(3)))

    def done(self):
        """Whether nothing that could still come matters: the awaited text was seen."""
        return self.expect == "boot" and self.text_seen and self.status is None

    def complete(self):
        """Whether every planned test has its result."""
        return self.plan is not None and len(self.results) >= self.plan

    def counts(self):
        """(passed, failed, skipped)"""
        failed = sum(1 for r in self.results if not r[1])
        skipped = sum(1 for r in self.results if r[1] and r[2])
        return len(self.results) - failed - skipped, failed, skipped

    def _plan_problem(self):
        if not self.versions:
            return "no KTAP report: no test ran"
        if self.problems:
            return self.problems[0]
        if self.plan is None:
            return "the report has no plan (1..N)"
        if self.plan == 0 or not self.results:
            return "no test ran"
        if len(self.results) != self.plan:
            return "the plan has %d tests, %d reported" % (self.plan, len(self.results))
        return None

    def judge(self, status, seconds):
        """status: the emulator's exit status, None on a timeout. Returns (verdict, reason)."""
        self.end()
        if self.expect == "none":
            return (PASS, "ended with status %s" % status) if status is not None else \
                (HANG, "no end after %.0f s" % seconds)
        if self.expect == "boot":
            return self._judge_boot(status, seconds)
        if status is None:
            return self._judge_timeout(seconds)
        return self._judge_end(status)

    def _judge_timeout(self, seconds):
        if self.panic:
            return PANIC, self.panic + " (and the machine did not end)"
        if not self.kernel_spoke:
            return SILENCE, "nothing from the kernel in %.0f s" % seconds
        where = "after test %d of %s" % (len(self.results), self.plan) if self.versions else \
            "before the first test"
        if self.expect != "test":
            where = "the machine still ran"
        return HANG, "no end after %.0f s, %s" % (seconds, where)

    def _judge_end(self, status):
        failed = [r[3] for r in self.results if not r[1]]
        if self.panic and status == EXIT_PASS:
            return INCONSISTENT, "a passing status, but: " + self.panic
        if self.panic or status == EXIT_PANIC:
            return PANIC, self.panic or "the panic status, without a PANIC line"
        if not self.kernel_spoke and status in (EXIT_PASS, EXIT_FAIL):
            return SILENCE, "nothing from the kernel, yet status %d" % status
        if status not in (EXIT_PASS, EXIT_FAIL):
            return INCONSISTENT, unexpected_end(status)
        if self.expect == "exit":
            return (PASS, "") if status == EXIT_PASS else (FAILURE, "the run says that it failed")
        problem = self._plan_problem()
        if status == EXIT_FAIL:
            if failed:
                return FAILURE, "failed: " + ", ".join(failed[:5])
            return FAILURE, "a failing status" + (": " + problem if problem else "")
        if failed:
            return INCONSISTENT, "a passing status, but failed: " + ", ".join(failed[:5])
        return (INCONSISTENT, "a passing status, but " + problem) if problem else (PASS, "")

    def _judge_boot(self, status, seconds):
        if self.text_seen and self.status is None:
            return PASS, "the text was seen"
        if self.text_seen and status == self.status:
            return PASS, "the text was seen, and status %d" % status
        if self.panic and not self.text_seen:
            return PANIC, self.panic
        if status is None:
            if not self.kernel_spoke:
                return SILENCE, "nothing from the kernel in %.0f s" % seconds
            return HANG, "no end after %.0f s; expected %s" % (
                seconds, "status %d" % self.status if self.text_seen else repr(self.text.pattern))
        if self.text_seen:
            return INCONSISTENT, "the text was seen, but status %d, not %d" % (status, self.status)
        return INCONSISTENT, "%s; expected %r" % (unexpected_end(status), self.text.pattern)


def clean(raw):
    """A line as text, without terminal escapes (GRUB and the firmware send many)."""
    return ESCAPES.sub("", raw.decode("utf-8", "replace")).rstrip()


def show(data):
    """Passes serial bytes on to the terminal, without the escapes that would clear it or move about on it."""
    sys.stdout.write(ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r", ""))
    sys.stdout.flush()


def unexpected_end(status):
    """A status that no Strata kernel ends with, in words."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = str(-status)
        return "the emulator was killed by %s" % name
    if status == 0:
        return "the machine reset or was switched off (a triple fault?)"
    return "the emulator ended with status %d" % status


def failures(lines):
    """Each "not ok" line, after the notes that stand before it and say why."""
    notes, found = [], []
    for line in lines:
        if line.startswith("# "):
            notes.append(line)
        else:
            found += notes[-TAIL_LINES:] + [line] if line.startswith("not ok") else []
            notes = []
    return found[: 4 * TAIL_LINES]


def quote(title, lines, out):
    if lines:
        print("--- %s ---" % title, file=out)
        for line in lines:
            print("| " + line, file=out)


def report(judge, verdict, reason, seconds, out=sys.stdout):
    """Prints the last lines of a run that did not pass, and the verdict's one line."""
    if judge.unfinished:
        print(file=out)
    if verdict == FAILURE and judge.counts()[1]:
        quote("what failed", failures(judge.lines), out)
    elif verdict != PASS:
        tail = [line for line in judge.lines if line.strip()][-TAIL_LINES:]
        quote("the last %d lines on the serial port" % len(tail), tail, out)
    counts = ""
    if judge.results or judge.expect == "test":
        counts = "%d passed, %d failed, %d skipped" % judge.counts()
    parts = [part for part in (reason, counts) if part]
    print("verdict: %s: %s, %.1f s" % (NAMES[verdict], "; ".join(parts) or "done", seconds), file=out)
    out.flush()


def kill_group(process):
    """Ends the emulator and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


class Watch:
    """Runs a command in a process group of its own, and feeds its output to a judge until it ends, the judge
    has seen enough, or the time is up. Nothing of the group survives run()."""

    def __init__(self, command, judge, timeout, quiet=False, log=None):
        self.command, self.judge, self.timeout = command, judge, timeout
        self.quiet, self.log = quiet, log
        self.started = 0.0

    def _take(self, data, is_serial):
        if self.log:
            self.log.write(data)
            self.log.flush()
        if not self.quiet:
            show(data)
        if is_serial:
            self.judge.feed(data)

    def _pump(self, process):
        """Copies output until both pipes close. False when the time was up."""
        deadline = self.started + self.timeout
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, True)
            selector.register(process.stderr, selectors.EVENT_READ, False)
            while selector.get_map() and not self.judge.done():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in selector.select(left):
                    data = os.read(key.fd, 65536)
                    if data:
                        self._take(data, key.data)
                    else:
                        selector.unregister(key.fileobj)
        return True

    def run(self):
        """Returns (exit status or None on a timeout, seconds). Raises OSError when it cannot start."""
        self.started = time.monotonic()
        process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
        status = None
        try:
            if self._pump(process) and not self.judge.done():
                left = max(0.1, self.started + self.timeout - time.monotonic())
                status = process.wait(left)
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill_group(process)
            process.stdout.close()
            process.stderr.close()
        return status, time.monotonic() - self.started
