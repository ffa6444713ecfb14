"""Runs a lab's tests and believes of what is printed only what is signed with the run's key (tests/sign.h).

On the host each test is a process of its own; what it printed between its "# begin" and the next one's explains its
result. In the kernel all tests are one boot, which counts as a whole.
"""

import os
import re
import secrets
import subprocess
import sys
from dataclasses import dataclass, field

MASK = (1 << 64) - 1
SIGNED = re.compile(r"^# signed ([0-9a-f]{16}) (.*)$")
USEFUL = re.compile(r"^(PANIC: .*|# [\w/.-]+\.[ch]:\d+: .*|.*runtime error: .*|.*ERROR: AddressSanitizer: .*|"
                    r"# [\w.]+: (no end|ended by|stopped).*)$")
END = re.compile(r"^end: (\d+) planned, (\d+) passed, (\d+) failed, (\d+) skipped$")
OUTPUT_LIMIT = 32 << 20
# Sanitizers look up source lines by a program of their own, half a second a report.
TERSE = {"ASAN_OPTIONS": "symbolize=0", "UBSAN_OPTIONS": "symbolize=0:print_stacktrace=0"}


def rotate(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & MASK


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4: Aumasson and Bernstein, 2012."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rounds(n: int) -> None:
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i:i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xff) << 56)
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@dataclass
class Run:
    planned: list[str] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    why: dict[str, str] = field(default_factory=dict)  # the first useful line
    unsigned: int = 0  # result lines that no signature vouches for
    ends: list[tuple[int, int, int, int]] = field(default_factory=list)
    note: str = ""  # about the run as a whole

    def verdict(self, name: str) -> str:
        """"" if it passed, else why not."""
        if name in self.passed:
            return ""
        return self.why.get(name) or ("skipped" if name in self.skipped else "no signed result: it did not get to its end")


def read_run(text: str, key: bytes) -> Run:
    r, current = Run(), ""
    for line in text.splitlines():
        signed = SIGNED.match(line)
        if signed:
            what = signed.group(2)
            if int(signed.group(1), 16) != siphash(key, what.encode()):
                r.unsigned += 1
                continue
            kind, _, name = what.partition(" ")
            end = END.match(what)
            if kind == "plan":
                r.planned.append(name)
            elif kind in ("passed", "failed", "skipped"):
                getattr(r, kind).add(name)
            elif end:
                r.ends.append(tuple(int(g) for g in end.groups()))  # type: ignore[arg-type]
        elif line.startswith("# begin "):
            current = line[8:]
        elif line.startswith("# without a machine"):
            r.note = line[2:]
        elif USEFUL.match(line) and r.why.get(current, "# ").startswith("# ") and \
                (current not in r.why or line.startswith("PANIC")):
            r.why[current] = line
    r.why = {k: re.sub(r"^# ", "", v)[:200] for k, v in r.why.items()}
    return r


def shell(command: list[str], seconds: float, **more) -> tuple[str, bool]:
    """Its output, and whether it ended in time. The whole group is ended with it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, **more)
    try:
        out, _ = process.communicate(timeout=seconds)
        return out[:OUTPUT_LIMIT].decode(errors="replace"), True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, _ = process.communicate()
        return out[:OUTPUT_LIMIT].decode(errors="replace"), False


def run_host(program: str, pattern: str, seed: int, seconds: int = 10, mem: str = "64M", total: float = 900,
             terse: bool = False, stop: bool = False) -> Run:
    key = secrets.token_bytes(16)
    reader, writer = os.pipe()
    os.write(writer, key.hex().encode())
    os.close(writer)
    try:
        text, ended = shell([program, "--quiet", "--grade", str(reader), "--seconds", str(seconds), "--filter", pattern,
                             "--seed", str(seed), "--mem", mem] + (["--stop"] if stop else []), total, pass_fds=[reader],
                            env={**os.environ, **TERSE} if terse else None)
    finally:
        os.close(reader)
    r = read_run(text, key)
    if not r.planned:
        r.note = "the test program ran no test: " + (text.strip().splitlines() or ["(no output)"])[-1]
    elif not ended:
        r.note = "the tests did not end within %d s" % total
    return r


def run_kernel(tree: str, kernel: str, tests: str, seed: int, qemu: str, seconds: float, smp: int = 1) -> tuple[bool, str]:
    """Whether the kernel booted and passed all of them, and if not the first useful line."""
    key = secrets.token_bytes(16)
    text, _ = shell([sys.executable, os.path.join(tree, "tools", "run-qemu"), "--qemu", qemu, "--expect", "none",
                     "--timeout", str(seconds), "--cpu", "max", "--mem", "256M", "--smp", str(smp), "--kernel", kernel,
                     "--append", "test=%s seed=%d sign=%s" % (tests, seed, key.hex())], seconds + 60)
    r = read_run(text.replace("\r", ""), key)
    if len(r.ends) == 1 and not r.failed:
        planned, passed, failed, skipped = r.ends[0]
        if failed == 0 and passed > 0 and planned == passed + skipped == len(r.passed) + len(r.skipped):
            return True, ""
    lines = [line for line in text.replace("\r", "").splitlines()]
    why = next((line for line in lines if line.startswith("PANIC: ")), "") or \
        next((line for line in lines if USEFUL.match(line)), "") or \
        next((line for line in reversed(lines) if line.startswith("verdict:")), "") or "no signed end of the run"
    if r.ends == [] and "PANIC" not in why:
        why = "no signed end of the run; " + why
    return False, re.sub(r"^# ", "", why)[:200]
