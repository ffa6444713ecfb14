#!/usr/bin/env python3
"""How fragmented memory becomes: Strata's page allocator beside textbook buddies. See docs/fragmentation.md.

    make fragmentation                   builds the program and runs this
    tests/bench/host/fragmentation.py --bin build/host/bench [OPTION]...

churn   the experiment of LLFree's authors: half of memory live at random, 100 rounds that each reallocate a tenth of it
replay  the page traces, on a machine with about twice the trace's peak: what can still be allocated

Nothing in it is a matter of time or chance: the same seed gives the same figures. The report is Markdown; --out keeps the
figures (JSON), for tools/plot-benchmarks.
"""

import argparse
import glob
import json
import lzma
import os
import subprocess
import sys
import tempfile

EX_USAGE, EX_UNAVAILABLE = 64, 69
PLACERS = ["strata", "lifo", "fullest", "lowest"]
ROUNDS_SHOWN = [0, 10, 30, 50, 70, 100]
ORDERS_SHOWN = [0, 3, 6, 9, 10, 11]
MIB = 1 << 20


class Failed(Exception):
    """Something that the user must see as one line; the second argument is the exit status."""


def run_program(options, arguments):
    command = [os.path.join(options.bin, "fragmentation"), *arguments]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    except OSError:
        raise Failed("there is no program %s (make fragmentation builds it)" % command[0], EX_UNAVAILABLE) from None
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise Failed("%s ended with %d: %s" % (" ".join(arguments), done.returncode, last),
                     EX_USAGE if done.returncode == EX_USAGE else 1)
    return [line.split() for line in done.stdout.splitlines()]


def churn(options):
    """{placer: [share after round 0, 1, …]}"""
    curves = {}
    for placer in PLACERS:
        lines = run_program(options, ["--memory", str(options.memory), "--rounds", str(options.rounds), placer, "churn"])
        curves[placer] = [float(share) for _, _, share in lines]
    return curves


def print_churn(options, curves):
    rounds = [r for r in ROUNDS_SHOWN if r < options.rounds] + [options.rounds]
    print("\n## Random reallocation, %d MiB: free 2 MiB frames, in %% of those that the free memory could make\n"
          % options.memory)
    print("| after round | %s |" % " | ".join(map(str, rounds)))
    print("|---|%s" % ("---:|" * len(rounds)))
    for placer, shares in curves.items():
        print("| %s | %s |" % (placer, " | ".join("%.1f" % (100 * shares[r]) for r in rounds)))


# --- Traces ---

def trace_name(path):
    return os.path.basename(path).split(".")[0]


def read_trace(path):
    opened = lzma.open(path, "rt", encoding="ascii") if path.endswith(".xz") else open(path, encoding="ascii")
    with opened as lines:
        return lines.read()


def memory_for(text):
    """MiB: twice the peak, rounded up to a power of two, 16 at least."""
    words = text.split("\n", 3)[2].split()
    if len(words) < 2 or words[-2] != "peak-live-bytes:" or not words[-1].isdigit():
        raise Failed("the third line of the trace has no peak-live-bytes", EX_USAGE)
    return max(16, 1 << (2 * int(words[-1]) // MIB).bit_length())


def replay(options, path, folder):
    """{placer: {moment: {figure: value}}} and the memory in MiB."""
    text = read_trace(path)
    plain = os.path.join(folder, "trace")
    with open(plain, "w", encoding="ascii") as out:
        out.write(text)
    memory, results = memory_for(text), {}
    for placer in PLACERS:
        moments = {}
        for moment, figure, value in run_program(options, ["--memory", str(memory), placer, "replay", plain]):
            moments.setdefault(moment, {})[figure] = float(value)
        results[placer] = moments
    return {"trace": trace_name(path), "memory": memory, "placers": results}


def print_replay(result):
    print("\n## %s, %d MiB\n" % (result["trace"], result["memory"]))
    print("| | | free pages | %s | possible 2 MiB | free memory in 2 MiB and up |"
          % " | ".join("order %d" % o for o in ORDERS_SHOWN))
    print("|---|---|%s" % ("---:|" * (len(ORDERS_SHOWN) + 3)))
    for placer, moments in result["placers"].items():
        for moment, figures in moments.items():
            orders = " | ".join("%d" % figures["order_%d" % o] for o in ORDERS_SHOWN)
            print("| %s | %s | %d | %s | %d | %.1f %% |" % (placer, moment, figures["free_pages"], orders,
                                                         figures["ideal_huge"], 100 * figures["share_of_free"]))


# --- The run ---

def run(options):
    results = {}
    if options.experiment in ("replay", "all"):
        paths = options.trace or sorted(glob.glob("tests/data/traces/k-*-pages.trace.xz"))
        results["replays"] = []
        with tempfile.TemporaryDirectory(prefix="strata-frag-") as folder:
            for path in paths:
                if not os.path.exists(path):
                    raise Failed("there is no trace %s" % path, EX_USAGE)
                results["replays"].append(replay(options, path, folder))
                print_replay(results["replays"][-1])
    if options.experiment in ("churn", "all"):
        results["memory"], results["churn"] = options.memory, churn(options)
        print_churn(options, results["churn"])
    return results


def read_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/host/bench", help="the folder of the program (default: %(default)s)")
    parser.add_argument("--out", help="write the figures to this file (JSON)")
    parser.add_argument("--experiment", choices=["churn", "replay", "all"], default="all", help="default: %(default)s")
    parser.add_argument("--memory", type=int, default=16 * 1024, metavar="MIB",
                        help="of the churn's machine, of which 1/100 is really used (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="of the churn (default: %(default)s)")
    parser.add_argument("--trace", action="append", default=[], metavar="FILE",
                        help="replay this page trace, plain or .xz (default: tests/data/traces/k-*-pages); may be repeated")
    parser.error = lambda message: (_ for _ in ()).throw(Failed(message, EX_USAGE))
    options = parser.parse_args(arguments)
    if options.memory < 16 or options.rounds < 1:
        raise Failed("--memory must be at least 16 and --rounds at least 1", EX_USAGE)
    return options


def main(arguments=None):
    try:
        options = read_options(arguments)
        results = run(options)
        if options.out:
            with open(options.out, "w", encoding="utf-8") as out:
                json.dump(results, out, indent=1)
                out.write("\n")
    except Failed as failure:
        print("fragmentation: %s" % failure.args[0], file=sys.stderr)
        return failure.args[1]
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
