"""Measure what a plan for many users stands on, and keep it in one file.

python -m benchmarks.scale                      # all parts, about an hour
python -m benchmarks.scale crowd --users 10000  # one crowd
python -m benchmarks.scale crowd --users 100000 --skew 0.3
python -m benchmarks.scale crowd --quick        # toy sizes, to see that it works
python -m benchmarks.scale.pictures             # the picture of docs/scale.md, from the results
"""

import argparse
import logging
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from benchmarks.scale.results import RESULTS
from benchmarks.scale.zipf import EXPONENT
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, how_made, write_rows

PARTS = ("bytes-of-items", "constants", "writing", "crowd")


def main() -> None:
    """Measure the parts that are named, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--users", type=int, nargs="+", default=(), help="sizes of the crowd; by default all")
    parser.add_argument("--skew", type=float, default=EXPONENT, help="Zipf's exponent of the crowd's requests")
    parser.add_argument("--quick", action="store_true", help="toy sizes: only to try it out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    command = shlex.join(["python", "-m", "benchmarks.scale", *sys.argv[1:]])
    made = {**how_made(threads=1, is_quick=options.quick), "command": command}
    for name in options.parts or PARTS:
        for row in _measure(name, options):
            write_rows([row], options.out, made=made)
            logging.info(row.in_words)


def _measure(part: str, options: argparse.Namespace) -> Iterator[Row]:
    measure = import_module(f"benchmarks.scale.{part.replace('-', '_')}").measure
    asked = [options.users, options.skew] if part == "crowd" else []
    rows: Iterator[Row] = measure(Effort(options.quick), *asked)
    return rows


if __name__ == "__main__":
    main()
