#!/usr/bin/env python3
"""Verifies the model of the magazine protocol with Spin, exhaustively; docs/protocol.md says what that means. The last
line is "N passed, N failed".

    tests/model/protocol/run.py [--build DIR] [--only NAME,...] [--jobs N] [--cc CC] [--list] [--trace]

Three kinds of runs:
  claim   holds: all states were looked at, and nothing was wrong in any
  mutant  the protocol with one step broken, which must be found: else the model could not fail
  limit   what the protocol does not promise; there must be a run of the machine that shows it

--only takes names and patterns (claim, mutant and limit mean all of a kind), --jobs how many run at once (1; each needs
up to 1.4 GiB), --trace prints the steps that lead to what a mutant's or a limit's run found. Exit status 0 when all passed,
1 otherwise, 64 for wrong usage, 69 when spin or the compiler is not installed.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "protocol.pml")
KINDS = ("claim", "mutant", "limit")
DEPTH = {"claim": 12000000, "mutant": 200000, "limit": 200000}


class Run(NamedTuple):
    kind: str
    name: str
    says: str
    defines: Tuple[str, ...]


# Each world is as large as minutes allow and reaches what the others do not.
SMP = ("SHRINKS", "ASKS")
DEPOT = ("SHRINKS", "NR_HANDLERS=1", "OBJECTS=3")
DEPOT_STEPS = ("SHRINKS", "NR_HANDLERS=0", "OBJECTS=3", "EVERY_STEP")
SWITCHING = ("ASKS", "NR_HANDLERS=1", "NR_THREADS=3", "OBJECTS=1")
SMALL = ("SHRINKS", "ASKS", "NR_HANDLERS=1", "OBJECTS=1")
RACE = ("DOUBLE_FREE=2", "EVERY_STEP", "SHRINKS", "NR_HANDLERS=1", "OBJECTS=1")
NO_ALLOC_IN_FREE, NO_ALLOC_RACE, NO_PUT = "ASSUME_NO_ALLOC_IN_FREE", "ASSUME_NO_ALLOC_RACE", "ASSUME_NO_PUT_IN_USE"

CLAIMS = (
    ("two-cpus", "2 CPUs with handlers, shrinking and draining each other", SMP + ("OBJECTS=1", "MID")),
    ("two-objects", "2 CPUs with handlers, shrinking, 2 objects", ("SHRINKS", "MID")),
    ("depot", "3 objects, so that magazines travel by the depot and spill", DEPOT + ("MID",)),
    ("large-magazines", "magazines of 2, 5 objects, no interrupts", ("SHRINKS", "NR_HANDLERS=0", "OBJECTS=5", "CAPACITY=2", "MID")),
    ("switching", "2 threads on CPU 0, switched by its handler", SWITCHING + ("MID",)),
    ("handlers-shrink", "handlers flush their own context", SMALL + ("HANDLERS_SHRINK", "OBJECTS=2", "MID")),
    ("any-order", "the fast paths' stores in every order", SMALL + ("ANY_ORDER", "OBJECTS=2", "MID")),
    ("every-step", "slow paths step by step too", SMALL + ("EVERY_STEP", "MID")),
    ("every-step-depot", "the same, 3 objects, no interrupts", DEPOT_STEPS + ("MID",)),
    ("page-stacks", "per-CPU pages: one stack a context, no depot", SMALL + ("PAGE_STACKS", "OBJECTS=3", "CAPACITY=2", "MID")),
    ("double-free", "a free that begins when the object is free is reported", RACE[1:] + ("DOUBLE_FREE=1",)),
    ("racing-free", "of two frees at once the second allocation is caught, on three conditions",
     RACE + (NO_ALLOC_IN_FREE, NO_ALLOC_RACE, NO_PUT)),
    ("racing-free-put", "the third is not needed if slab_put_locked() looks at the tag",
     RACE + (NO_ALLOC_IN_FREE, NO_ALLOC_RACE, "PUT_CHECKS")),
)

MUTANTS = (
    ("HANDLER_IN_THREADS_CONTEXT", "no context of their own for handlers", SMALL + ("OBJECTS=2",)),
    ("HANDLER_LEAVES_ITS_CONTEXT", "the thread goes on in the handler's context", SMALL + ("OBJECTS=2",)),
    ("DRAIN_IN_FAST_PATH", "another CPU's request is served in the middle of a fast path", SMALL + ("OBJECTS=2",)),
    ("SWITCH_IN_FAST_PATH", "threads are switched in the middle of a fast path", SWITCHING + ("OBJECTS=2",)),
    ("FAST_PATH_ELSEWHERE", "a fast path's code is outside of mm_fast_text", SMALL + ("OBJECTS=2",)),
    ("SLOW_PATH_WITH_INTERRUPTS", "slow paths leave interrupts on", SMALL + ("OBJECTS=2", "EVERY_STEP")),
    ("ONE_FLAG_FOR_ALL_WHO_ASK", "CPUs that ask at once share the note of who was missed", SMP + ("OBJECTS=1",)),
    ("ASK_WITH_INTERRUPTS_OFF", "a CPU waits for the others with interrupts off", SMP + ("OBJECTS=1",)),
    ("REFILL_WITHOUT_LOCK", "refills without the cache's lock", DEPOT_STEPS),
    ("SPILL_WITHOUT_LOCK", "spills without the cache's lock", DEPOT_STEPS),
    ("FLUSH_WITHOUT_LOCK", "flushes without the cache's lock", DEPOT_STEPS),
    ("FLUSH_FORGETS_NOTHING", "what was flushed stays in the magazine", SMALL),
    ("FLUSH_WITHOUT_SPARE", "the spare is dropped, not flushed", SMALL + ("OBJECTS=2",)),
    ("DEPOT_KEEPS_WHAT_IT_GIVES", "the depot gives a magazine twice", DEPOT + ("NR_HANDLERS=0",)),
    ("POP_WITHOUT_TEST", "the pop does not look at the tag", SMALL),
    ("POP_WITHOUT_TAG", "the pop does not store the tag", SMALL),
    ("PUSH_WITHOUT_LIMIT", "the push does not look at the limit", SMALL + ("OBJECTS=2",)),
    ("FREE_WITHOUT_TEST", "the free does not look at the tag", RACE[1:] + ("DOUBLE_FREE=1",)),
)

LIMITS = (
    ("alloc-in-free", "allocated again while another call still frees it: given out twice", RACE + (NO_ALLOC_RACE, NO_PUT)),
    ("alloc-race", "two allocations race for both copies: given out twice", RACE + (NO_ALLOC_IN_FREE, NO_PUT)),
    ("put-in-use", "a copy goes back to the slabs while the other is in use: given out twice",
     RACE + (NO_ALLOC_IN_FREE, NO_ALLOC_RACE)),
)


def all_runs() -> List[Run]:
    runs = [Run("claim", *row) for row in CLAIMS]
    runs += [Run("mutant", name.lower().replace("_", "-"), says, defines + ("MUTANT_" + name,)) for name, says, defines in MUTANTS]
    return runs + [Run("limit", *row) for row in LIMITS]


def chosen(only: str) -> Optional[List[Run]]:
    """The runs that a list of names, patterns and kinds means; None when a part of it means none."""
    found: List[Run] = []
    for pattern in only.split(","):
        some = [r for r in all_runs() if r.kind == pattern.strip() or fnmatch.fnmatch(r.name, pattern.strip())]
        if not some:
            return None
        found += [r for r in some if r not in found]
    return found


def options(run: Run) -> List[str]:
    """-D options; of two values for a name the last counts."""
    values: Dict[str, str] = {}
    for define in run.defines:
        name, _, value = define.partition("=")
        values[name] = value
    return ["-D%s%s" % (name, "=" + value if value else "") for name, value in values.items()]


def pan_options(run: Run) -> List[str]:
    """A report ends the machine where objects are freed twice: no deadlock."""
    ends = any(define.startswith("DOUBLE_FREE") for define in run.defines)
    return ["-m%d" % DEPTH[run.kind]] + (["-E"] if ends else [])


class Outcome(NamedTuple):
    passed: bool
    why: str
    states: int
    megabytes: float
    seconds: float


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0.0


def judge(kind: str, text: str, seconds: float = 0.0) -> Outcome:
    """What the verifier's output says about a run of this kind."""
    errors = re.search(r"errors: (\d+)", text)
    found = re.search(r"pan:\d+: (.*?) \(at depth", text)
    if errors is None:
        passed, why = False, "the verifier did not finish"
    elif errors.group(1) != "0":
        passed, why = kind != "claim", "found: %s" % (found.group(1) if found else "an error")
    elif kind != "claim":
        passed, why = False, "not found"
    elif "max search depth too small" in text or "Search not completed" in text:
        passed, why = False, "not exhaustive: the search was cut off"
    else:
        passed, why = True, "holds in all states"
    return Outcome(passed, why, int(number(r"([\d.]+(?:e\+\d+)?) states, stored", text)),
                   number(r"([\d.]+)\s+total actual memory usage", text), seconds)


def output_of(command: List[str], folder: str) -> str:
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          universal_newlines=True).stdout


def build(run: Run, folder: str, cc: str) -> str:
    """Makes the verifier. What went wrong, or nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    text = output_of(["spin"] + options(run) + ["-a", MODEL], folder)
    if not os.path.exists(os.path.join(folder, "pan.c")):
        return text
    level = "-O2" if run.kind == "claim" else "-O0"
    # Partial order reduction is not sound with `provided`; here it would leave out nothing anyway.
    text = output_of([cc, level, "-w", "-DSAFETY", "-DNOREDUCE", "-DCOLLAPSE", "-o", "pan", "pan.c"], folder)
    return "" if os.path.exists(os.path.join(folder, "pan")) else text


def verify(run: Run, args: argparse.Namespace) -> Outcome:
    folder = os.path.join(os.path.abspath(args.build), run.name)
    began = time.monotonic()
    fault = build(run, folder, args.cc)
    if fault:
        return Outcome(False, "the verifier could not be made: %s" % fault.strip().splitlines()[0], 0, 0.0, 0.0)
    text = output_of(["./pan"] + pan_options(run), folder)
    with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
        log.write(text)
    return judge(run.kind, text, time.monotonic() - began)


def show_trace(run: Run, args: argparse.Namespace) -> None:
    folder = os.path.join(os.path.abspath(args.build), run.name)
    trail = os.path.join(folder, os.path.basename(MODEL) + ".trail")
    if os.path.exists(trail):
        print(output_of(["spin"] + options(run) + ["-k", trail, "-p", "-g", MODEL], folder))


def report(run: Run, outcome: Outcome) -> None:
    print("%-6s %-6s %-27s %9d states %5.0f MiB %4.0f s  %s" % (
        "ok" if outcome.passed else "FAILED", run.kind, run.name, outcome.states, outcome.megabytes, outcome.seconds,
        run.says if outcome.passed and run.kind == "claim" else "%s: %s" % (run.says, outcome.why)), flush=True)


def missing(args: argparse.Namespace) -> Optional[str]:
    return next((tool for tool in ("spin", args.cc) if shutil.which(tool) is None), None)


def parse(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join("build", "model"), metavar="DIR")
    parser.add_argument("--only", default="*", metavar="NAME,...")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--trace", action="store_true")

    def refuse(message: str) -> None:
        print("run.py: %s (--help)" % message, file=sys.stderr)
        sys.exit(64)

    parser.error = refuse  # type: ignore[assignment, method-assign]
    args = parser.parse_args(argv)
    if args.jobs < 1:
        refuse("--jobs must be 1 or more")
    args.runs = chosen(args.only)
    if args.runs is None:
        refuse("nothing is called %s: --list names all" % args.only)
    return args


def main(argv: List[str]) -> int:
    args = parse(argv)
    if args.list:
        for run in args.runs:
            print("%-6s %-27s %s" % (run.kind, run.name, run.says))
        return 0
    tool = missing(args)
    if tool is not None:
        print("run.py: %s is not installed: tools/deps --for model" % tool, file=sys.stderr)
        return 69
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for run, outcome in zip(args.runs, pool.map(lambda r: verify(r, args), args.runs)):
            report(run, outcome)
            failed += not outcome.passed
            if args.trace:
                show_trace(run, args)
    print("%d passed, %d failed" % (len(args.runs) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
