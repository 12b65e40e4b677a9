"""Measure every figure of the table, ours and the opponent's in turn, and keep them in one file.

python -m benchmarks.speed                        # all, hours on a laptop's cores
python -m benchmarks.speed user-embedder --quick  # one, of toy size, to see that it works
"""

import argparse
import logging
import os
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.speed.effort import Effort
from benchmarks.speed.row import RESULTS, how_made, results_here, write_rows

PARTS = (
    "user-embedder",
    "encoding",
    "indexing",
    "training",
    "dev-evaluation",
    "fetching",
    "answering",
    "adapters",
    "real-model",
    "real-model-float32",
    "real-answers",
    "start-up",
    "training-memory",
    "growth",
    "gpu",
)


def main() -> None:
    """Measure the parts that are named, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="toy sizes, kept in another file: only to try it out")
    parser.add_argument("--pairs", type=int, default=5, help="turns of each side")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch, for both sides")
    parser.add_argument("--out", type=Path, default=results_here(), help="a file a processor by default")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("personaplug", "sentence_transformers", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Before anything imports torch, and for the processes that measure memory too.
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")}
    os.environ |= {**threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    out = options.out.with_stem(f"{options.out.stem}-quick") if options.quick else options.out
    made = how_made(threads=options.threads, is_quick=options.quick)  # now: the code may change while it runs
    effort = Effort(options.quick, 1 if options.quick else options.pairs)
    for name in options.parts or PARTS:
        for row in import_module(f"benchmarks.speed.{name.replace('-', '_')}").measure(effort):
            write_rows([row], out, made=made)
            logging.info(row.in_words)
    if out.parent == RESULTS and not options.quick:
        import_module("benchmarks.speed.pictures").main()


if __name__ == "__main__":
    main()
