#!/usr/bin/env python3
"""Strata's kmalloc beside other allocators, as Linux processes: times, instructions, footprints.

    make bench-host                      builds the programs and runs this
    tests/bench/host/bench_host.py --bin build/host/bench [OPTION]...

Each workload is run on every allocator in turn, and all that again for each repetition, so that whatever else the
machine does meets all of them alike. A figure is the median of the repetitions; a ratio is the median of the
repetitions' ratios to mimalloc. Instructions are callgrind's, less those of the same loop with no allocator in it.

The report is Markdown; --out keeps every value (JSON), for tools/plot-benchmarks.
"""

import argparse
import fnmatch
import glob
import json
import lzma
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile

EX_USAGE, EX_UNAVAILABLE = 64, 69
BASE = "mimalloc"
LIBRARIES = {"mimalloc": "libmimalloc.so.2", "jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4"}
FOLDERS = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
ORDERS = ["same", "reverse", "random"]

# (workload, argument) in the order of the report. Sweeps are for the plots; they take no part in the instruction counts.
HOT = [("hot_%d" % size, None) for size in (16, 64, 256, 1024, 4096)] + [("hot_runtime", "256"), ("hot_mixed", None)]
PAGES = [("hot_page", None)] + [("batch_page", order) for order in ORDERS]
BATCHES = [("batch_%d" % size, order) for size in (32, 256, 1024) for order in ORDERS]
MIX = [("mix", "100000")]
SCALING = [("threads_scaling", what) for what in ("16", "64", "1024", "page")]
THREADS = [("threads_hot", None), *SCALING, ("threads_mix", None), ("producer_consumer", None)]
FOOTPRINT = [("mix_footprint", "100000")]
SIZE_SWEEP = [("hot_runtime", str(1 << n)) for n in range(3, 18) if n != 8]
LIVE_SWEEP = [("mix", str(live)) for live in (100, 1000, 10000, 1000000)]
NAMED = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?")
UNITS = {"footprint": "x", "live_bytes": "bytes", "scaling": "x", "scaling_cpu": "x"}

# (pattern of "workload argument metric", the figure's limit, compared with which allocator; None: the figure itself)
GOALS = [
    ("hot_page * pair", 1.0, "tcmalloc"),
    ("hot_[0-9]* - pair", 0.8, BASE),
    ("hot_runtime 256 pair", 0.8, BASE),
    ("hot_mixed - pair", 0.8, BASE),
    ("batch_256 * pair", 1.0, BASE),
    ("batch_1024 * pair", 1.0, BASE),
    ("mix 100000 pair", 1.0, BASE),
    ("producer_consumer * cpu", 1.0, BASE),
    ("mix_footprint * footprint", 1.12, None),
]
# (pattern, the least that the figure should be)
FLOORS = [("threads_scaling * scaling", 1.9)]


class Failed(Exception):
    """Something that the user must see as one line; the second argument is the exit status."""


def find_library(name):
    for folder in FOLDERS:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    raise Failed("%s is not installed (tools/deps --for bench-host)" % name, EX_UNAVAILABLE)


class Subject:
    """An allocator: a name, the program to run and what to preload."""

    def __init__(self, name, program, library=None):
        self.name, self.program, self.library = name, program, library

    def run(self, arguments, wrapper=()):
        """The program's figures, {metric: value}, in the order in which it printed them."""
        environment = dict(os.environ)
        if self.library:
            environment["LD_PRELOAD"] = self.library
        command = [*wrapper, self.program, *arguments]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise Failed("%s on %s ended with %d: %s" % (" ".join(arguments), self.name, done.returncode, last),
                         EX_USAGE if done.returncode == EX_USAGE else 1)
        return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}


def make_subjects(options):
    malloc = os.path.join(options.bin, "bench-malloc")
    subjects = [Subject("loop", os.path.join(options.bin, "bench-none")),
                Subject("strata", os.path.join(options.bin, "bench-strata"))]
    for subject in subjects + [Subject("", malloc)]:
        if not os.access(subject.program, os.X_OK):
            raise Failed("there is no program %s (make bench-host builds it)" % subject.program, EX_UNAVAILABLE)
    subjects += [Subject(name, malloc, find_library(library)) for name, library in LIBRARIES.items()]
    for extra in options.allocator:
        name, _, library = extra.partition("=")
        if not library or not os.path.exists(library):
            raise Failed("--allocator needs NAME=LIBRARY, and the library must exist: %s" % extra, EX_USAGE)
        subjects.append(Subject(name, malloc, os.path.abspath(library)))
    return subjects + [Subject("glibc", malloc)]


# --- Traces ---

def trace_name(path):
    return os.path.basename(path).split(".")[0]


def unpack(path, folder):
    """The trace as plain text, for programs without a decompressor."""
    if not path.endswith(".xz"):
        return path
    plain = os.path.join(folder, trace_name(path) + ".trace")
    with lzma.open(path) as packed, open(plain, "wb") as out:
        out.write(packed.read())
    return plain


def traces_of(options):
    paths = options.trace or sorted(glob.glob("tests/data/traces/u-*.trace.xz"))
    for path in paths:
        if not os.path.exists(path):
            raise Failed("there is no trace %s" % path, EX_USAGE)
    return paths


# --- Measuring ---

def with_sums(figures):
    """A batch's pair is one allocation and one free."""
    if "alloc" in figures and "free" in figures:
        return {**figures, "pair": figures["alloc"] + figures["free"]}
    return figures


def measure(work, subjects, repetitions, blocks):
    """A figure for each metric, with {allocator: [value a repetition]}."""
    name, argument, shown_as = work
    arguments = ["--blocks", str(blocks), name] + ([argument] if argument else [])
    values = {}
    for _ in range(repetitions):
        for subject in subjects:
            if subject.name == "loop" and name.endswith("_footprint"):
                continue
            for metric, value in with_sums(subject.run(arguments)).items():
                values.setdefault(metric, {}).setdefault(subject.name, []).append(value)
    return [{"work": name, "argument": shown_as or "", "metric": metric, "unit": UNITS.get(metric, "ns"), "values": of}
            for metric, of in values.items()]


def functions_of(dump):
    """{function: instructions of its own} of a callgrind dump. Names are written once, and numbered."""
    names, own, function, is_call = {}, {}, None, False
    for line in dump:
        named = NAMED.match(line)
        if named:
            if named.group(3):
                names[named.group(2)] = named.group(3)
            function = named.group(2) if named.group(1) == "fn" else function
        elif line.startswith("calls="):
            is_call = True  # the next line's cost is the callee's
        elif line[0] in "0123456789+-*" and not is_call:
            own[function] = own.get(function, 0) + int(line.split()[1])
        else:
            is_call = False
    return {names[number]: cost for number, cost in own.items()}


def instructions_of(subject, arguments, folder):
    """{metric: {function: instructions an operation}}, from callgrind's dump after each measured block."""
    out = os.path.join(folder, "callgrind")
    for old in glob.glob(out + "*"):
        os.remove(old)
    wrapper = ["valgrind", "-q", "--tool=callgrind", "--zero-before=measured", "--dump-after=measured",
               "--callgrind-out-file=" + out]
    counts = {}
    for number, (metric, ops) in enumerate(subject.run(["--count", *arguments], wrapper).items(), 1):
        with open("%s.%d" % (out, number), encoding="utf-8", errors="replace") as dump:
            counts[metric] = {name: cost / ops for name, cost in functions_of(dump).items()}
    return counts


def count(work, subjects, folder):
    name, argument, shown_as = work
    arguments = [name] + ([argument] if argument else [])
    figures, loop = {}, {}
    for subject in subjects:
        functions = instructions_of(subject, arguments, folder)
        totals = with_sums({metric: sum(of.values()) for metric, of in functions.items()})
        if subject.name == "loop":
            loop = totals
            continue
        for metric, total in totals.items():
            figure = figures.setdefault(metric, {"work": name, "argument": shown_as or "", "metric": metric,
                                                 "unit": "instructions", "values": {}})
            figure["values"][subject.name] = [total - loop[metric]]
            if subject.name == "strata" and metric in functions:
                figure["functions"] = functions[metric]
    return list(figures.values())


# --- The report ---

def title(figure):
    return " ".join(word for word in (figure["work"], figure["argument"], figure["metric"]) if word)


def median(figure, subject):
    return statistics.median(figure["values"][subject])


def ratio(figure, subject="strata", base=BASE):
    """The median of the repetitions' ratios; None where there is nothing to compare."""
    values = figure["values"]
    if subject not in values or base not in values or not all(values[base]):
        return None
    return statistics.median(a / b for a, b in zip(values[subject], values[base]))


def goal_of(figure):
    """(is it met, value, text) of the figure's goal, or None."""
    if figure["unit"] == "instructions":
        return None
    key = "%s %s %s" % (figure["work"], figure["argument"] or "-", figure["metric"])
    for pattern, limit, base in GOALS:
        if fnmatch.fnmatchcase(key, pattern):
            value = ratio(figure, "strata", base) if base else median(figure, "strata")
            text = "%.2f x %s" % (limit, base) if base else "%.2f" % limit
            return None if value is None else (value <= limit, value, text)
    for pattern, least in FLOORS:
        if fnmatch.fnmatchcase(key, pattern) and "strata" in figure["values"]:
            value = median(figure, "strata")
            return value >= least, value, "at least %.2f" % least
    return None


def shown(value):
    return "%.0f" % value if value >= 1000 else "%.1f" % value if value >= 10 else "%.2f" % value


def verdict(figure):
    goal = goal_of(figure)
    if goal is None:
        return ""
    met, value, text = goal
    return "%s: %s %.2f" % (text, "met," if met else "**missed**,", value)


def row(figure, names):
    cells = [shown(median(figure, n)) if n in figure["values"] else "" for n in names]
    compared = ratio(figure)
    return "| `%s` | %s | %s | %s |" % (title(figure), " | ".join(cells), "" if compared is None else "%.2f" % compared,
                                      verdict(figure))


def print_table(heading, figures, names):
    names = [n for n in names if any(n in f["values"] for f in figures)]
    print("\n## %s\n" % heading)
    print("| | %s | Strata / mimalloc | goal |" % " | ".join(names))
    print("|---|%s---:|---|" % ("---:|" * len(names)))
    for figure in figures:
        if figure["metric"] != "live_bytes":
            print(row(figure, names), flush=True)


def print_functions(figures):
    """Where Strata's instructions go: each function's own, the loop's included."""
    print("\nStrata by function (the loop's own included):\n")
    for figure in figures:
        if "functions" in figure:
            dearest = sorted(figure["functions"].items(), key=lambda item: -item[1])[:8]
            print("- `%s`: %s" % (title(figure), ", ".join("%s %s" % (name, shown(cost)) for name, cost in dearest
                                                          if cost >= 0.5)), flush=True)


def print_goals(figures):
    goals = [goal for goal in map(goal_of, figures) if goal]
    met = sum(is_met for is_met, _, _ in goals)
    print("\nGoals: %d met, %d missed" % (met, len(goals) - met))


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return "%s, %d processors, Linux %s" % (model, os.cpu_count() or 1, platform.release())


# --- The run ---

def sections(options, folder):
    """(heading, works, is it timed once, is it counted too); a work is (name, argument, the argument as shown)."""
    traces = [(unpack(path, folder), trace_name(path)) for path in traces_of(options)]
    replays = [("replay", path, name) for path, name in traces]
    footprints = [("replay_footprint", path, name) for path, name in traces]

    def plain(works):
        return [(name, argument, argument) for name, argument in works]

    return [
        ("Hot pairs", plain(HOT), False, True),
        ("Pages", plain(PAGES), False, True),
        ("Batches", plain(BATCHES), False, True),
        ("The mix", plain(MIX), False, True),
        ("Two threads", plain(THREADS), False, False),
        ("Replays", replays, False, True),
        ("Footprint: pages taken over live bytes", plain(FOOTPRINT) + footprints, True, False),
        ("Cost against size", plain(SIZE_SWEEP), False, False),
        ("Cost against working set", plain(LIVE_SWEEP), False, False),
    ]


def wanted(works, pattern):
    return [w for w in works if any(fnmatch.fnmatchcase(w[0], p) for p in pattern.split(","))]


def run(options, folder):
    subjects = make_subjects(options)
    names = [s.name for s in subjects]
    every = []
    print("Machine: %s. Medians of %d repetitions." % (machine(), options.repetitions))
    for heading, works, once, counted in sections(options, folder):
        works = wanted(works, options.only)
        if not works:
            continue
        figures = [f for w in works for f in measure(w, subjects, 1 if once else options.repetitions, options.blocks)]
        print_table(heading + ("" if once else ": nanoseconds"), figures, names)
        every += figures
        if counted and not options.no_count:
            figures = [f for w in works for f in count(w, subjects, folder)]
            print_table(heading + ": instructions", figures, names)
            if options.functions:
                print_functions(figures)
            every += figures
    if not every:
        raise Failed("no workload matches %s" % options.only, EX_USAGE)
    print_goals(every)
    return every


def read_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/host/bench", help="the folder of the programs (default: %(default)s)")
    parser.add_argument("--out", help="write all values to this file (JSON)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="workloads: names, * and ?, commas (default: all)")
    parser.add_argument("--repetitions", type=int, default=7, metavar="N", help="default: %(default)s")
    parser.add_argument("--blocks", type=int, default=31, metavar="N", help="blocks in each (default: %(default)s)")
    parser.add_argument("--no-count", action="store_true", help="without instruction counts: no valgrind, and faster")
    parser.add_argument("--functions", action="store_true", help="also which functions Strata's instructions are in")
    parser.add_argument("--trace", action="append", default=[], metavar="FILE",
                        help="replay this trace, plain or .xz (default: tests/data/traces/u-*); may be repeated")
    parser.add_argument("--allocator", action="append", default=[], metavar="NAME=LIBRARY",
                        help="one more allocator, to be preloaded; may be repeated")
    parser.error = lambda message: (_ for _ in ()).throw(Failed(message, EX_USAGE))
    options = parser.parse_args(arguments)
    if options.repetitions < 1 or not 1 <= options.blocks <= 64:
        raise Failed("--repetitions must be at least 1, --blocks 1 to 64", EX_USAGE)
    return options


def main(arguments=None):
    try:
        options = read_options(arguments)
        with tempfile.TemporaryDirectory(prefix="strata-bench-") as folder:
            figures = run(options, folder)
        if options.out:
            with open(options.out, "w", encoding="utf-8") as out:
                json.dump({"machine": machine(), "repetitions": options.repetitions, "figures": figures}, out, indent=1)
                out.write("\n")
    except Failed as failure:
        print("bench-host: %s" % failure.args[0], file=sys.stderr)
        return failure.args[1]
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
