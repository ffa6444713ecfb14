"""Runs every tests/tools/test_*.py (unittest) and ends with "N passed, N failed": python3 tests/tools [PATTERN]

The tests find what they need through the environment that the Makefile sets: BUILD (the build folder), CONFIG, QEMU.
"""

import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    loader = unittest.TestLoader()
    if len(sys.argv) > 1:
        loader.testNamePatterns = [p if "*" in p else "*%s*" % p for p in sys.argv[1:]]
    os.chdir(os.path.dirname(os.path.dirname(HERE)))
    suite = loader.discover(HERE, pattern="test_*.py", top_level_dir=HERE)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = {test.id() for test, _ in result.failures + result.errors}
    bad |= {test.id() for test in result.unexpectedSuccesses}
    passed = max(0, result.testsRun - len(bad) - len(result.skipped))
    if result.testsRun == 0:
        print("no test ran")
    print("%d passed, %d failed" % (passed, len(bad)))
    return 0 if passed and not bad else 1


if __name__ == "__main__":
    sys.exit(main())
