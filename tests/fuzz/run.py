#!/usr/bin/env python3
"""Runs fuzz targets and says in one line each what came of it; the last line is "N passed, N failed".

    tests/fuzz/run.py --bin build/fuzz [--only NAME,...] [--time SECONDS] [--jobs N]

Without --time each target makes a fixed number of runs from its committed seeds, always the same ones: that is what CI
does. With it, each goes on for so long, at random, and keeps what it learned in BIN/corpus/NAME for the next time. A
finding is a file in BIN/findings: the line says where, and the command that repeats it. Exit status 0 when there was no
finding, 1 otherwise, 64 for wrong usage.
"""

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))

# Runs for a few seconds each, and the largest useful input.
RUNS = {
    "multiboot1": (15000, 2048),
    "multiboot2": (15000, 2048),
    "acpi": (10000, 2048),
    "memmap": (10000, 300),
    "cmdline": (10000, 1500),
    "trace": (10000, 1500),
    "buddy": (500, 400),
    "untouched": (500, 400),
    "heap": (500, 600),
    "pages": (500, 400),
    "vmem": (1500, 600),
    "pt": (1500, 500),
    "loan": (500, 500),
    "heaps": (750, 400),
}
DEFAULT_RUNS = (5000, 1000)
EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
SAVED = re.compile(r"Test unit written to (\S+)")
REASON = re.compile(r"FINDING: (.*)|(runtime error: .*)|SUMMARY: (.*)|ERROR: (libFuzzer: (?:timeout|out-of-memory).*)")


def targets():
    """Every target in the source tree."""
    return sorted(name[:-len("_fuzz.c")] for name in os.listdir(HERE) if name.endswith("_fuzz.c"))


def chosen(only):
    """The targets that a list of names and patterns means; None when a part of it means none."""
    found = []
    for pattern in only.split(","):
        names = fnmatch.filter(targets(), pattern.strip())
        if not names:
            return None
        found += [name for name in names if name not in found]
    return found


def command_of(args, name, scratch):
    """(command, folder that learns)."""
    runs, max_len = RUNS.get(name, DEFAULT_RUNS)
    corpus = os.path.join(args.bin, "corpus", name) if args.time else os.path.join(scratch, name)
    findings = os.path.join(args.bin, "findings")
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(findings, exist_ok=True)
    command = [os.path.join(args.bin, name), "-print_final_stats=1", "-detect_leaks=0", "-timeout=20", "-use_value_profile=%d" % bool(args.time),
               "-max_len=%d" % max_len, "-artifact_prefix=%s/%s-" % (findings, name)]
    command += ["-max_total_time=%d" % args.time] if args.time else ["-runs=%d" % runs, "-seed=1"]
    seeds = os.path.join(HERE, "seeds", name)
    return command + [corpus] + ([seeds] if os.path.isdir(seeds) else [])


def first_reason(text):
    """What was wrong, in the words of whoever noticed first."""
    for line in text.splitlines():
        found = REASON.search(line)
        if found:
            return next(group for group in found.groups() if group).strip()
    return "it ended without a reason: see the log"


def run(args, name, scratch):
    """(passed, lines for people)."""
    log = os.path.join(args.bin, name + ".log")
    with open(log, "wb") as out:
        status = subprocess.call(command_of(args, name, scratch), stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT)
    with open(log, "rb") as out:
        text = out.read().decode("utf-8", "replace")
    executed = EXECUTED.search(text)
    if status == 0 and executed:
        return True, ["ok      %-12s %s runs, nothing found" % (name, executed.group(1))]
    saved = SAVED.search(text)
    lines = ["FINDING %-12s %s" % (name, first_reason(text))]
    if saved:
        lines += ["        the input:   %s" % saved.group(1),
                  "        to repeat:   %s %s" % (os.path.join(args.bin, name), saved.group(1))]
    return False, lines + ["        the log:     %s" % log]


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda message: (print("fuzz: %s (--help)" % message, file=sys.stderr), sys.exit(64))
    parser.add_argument("--bin", required=True, help="where the built targets are")
    parser.add_argument("--only", default="*", metavar="NAME,...", help="these targets; * and ? (default: all)")
    parser.add_argument("--time", type=int, default=0, metavar="SECONDS", help="for each target (default: a fixed number of runs)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="targets at a time (default: 1)")
    args = parser.parse_args(argv)
    args.names = chosen(args.only or "*")
    if args.names is None:
        parser.error("no such target in %s; there are: %s" % (args.only, " ".join(targets())))
    if args.time < 0 or args.jobs < 1:
        parser.error("--time and --jobs need a positive number")
    missing = [name for name in args.names if not os.path.exists(os.path.join(args.bin, name))]
    if missing:
        parser.error("not built: %s (make fuzz builds them)" % " ".join(missing))
    return args


def main(argv):
    args = parse(argv)
    scratch = tempfile.mkdtemp(prefix="strata-fuzz-")
    passed = 0
    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            for ok, lines in pool.map(lambda name: run(args, name, scratch), args.names):
                passed += ok
                print("\n".join(lines), flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("%d passed, %d failed" % (passed, len(args.names) - passed))
    return 0 if passed == len(args.names) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
