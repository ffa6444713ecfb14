#!/usr/bin/env python3
"""Takes the picture of a report again: opens the page in Chromium and asks it for a picture.

    make report TRACE=tests/data/traces/k-files-mixed.trace.xz
    python3 docs/img/report.py build/report.html docs/img/report.png --run 'showMemory(...busyMemory())'

It prints after how many milliseconds, counted from the start of the navigation, the page was drawn.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "tools"))
import browser  # noqa: E402

EX_USAGE, EX_UNAVAILABLE = 64, 69


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print("report.py: %s (--help)" % message, file=sys.stderr)
        sys.exit(EX_USAGE)


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page")
    parser.add_argument("picture", nargs="?", help="a PNG file; none: only measure")
    parser.add_argument("--run", metavar="SCRIPT", help="run this in the page before")
    parser.add_argument("--size", default="1280x800", help="of the window (default: 1280x800)")
    parser.add_argument("--dark", action="store_true", help="in the dark theme")
    parser.add_argument("--whole", action="store_true", help="the whole page, not the window alone")
    arguments = parser.parse_args()
    if not browser.find():
        print("report.py: Chromium is not installed: tools/deps --for browser", file=sys.stderr)
        return EX_UNAVAILABLE
    web = browser.Browser(*map(int, arguments.size.split("x")))
    try:
        web.open(arguments.page)
        web.wait("document.documentElement.dataset.ready")
        print("drawn after %s ms" % web.run("document.documentElement.dataset.ready"))
        if arguments.dark:
            web.run("setTheme('dark')")
        if arguments.run:
            web.run(arguments.run)
        if arguments.picture:
            web.picture(arguments.picture, arguments.whole)
        if web.errors:
            print("\n".join(web.errors), file=sys.stderr)
        return 1 if web.errors else 0
    finally:
        web.close()


if __name__ == "__main__":
    sys.exit(main())
