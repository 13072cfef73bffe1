#!/usr/bin/env python3
"""test_times.py (PART SECONDS)… -- JUNIT…: the seconds of each part and the twenty slowest tests."""
import sys
import xml.etree.ElementTree as xml

SLOWEST = 20


def tests(file):
    """(seconds, name) of each test in one of CTest's JUnit files."""
    suite = "sanitizers: " if "asan" in file else ""
    return [(float(case.get("time")), suite + case.get("name")) for case in xml.parse(file).iter("testcase")]


def main(arguments):
    split = arguments.index("--")
    parts, files = arguments[:split], arguments[split + 1:]
    seconds = dict(zip(parts[::2], map(int, parts[1::2])))
    found = [test for file in files for test in tests(file)]
    print(f"\nThe {SLOWEST} slowest of {len(found)} tests, in seconds:")
    for time, name in sorted(found, reverse=True)[:SLOWEST]:
        print(f"{time:8.1f}  {name}")
    print("\nSeconds: " + ", ".join(f"{name} {time}" for name, time in seconds.items()) + f"; {sum(seconds.values())} in all")


if __name__ == "__main__":
    main(sys.argv[1:])
