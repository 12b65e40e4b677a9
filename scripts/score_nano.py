"""Score the shipped language model on the held-out examples of its training: greedy answers, no persona.

python scripts/score_nano.py --work build/nano
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from nano_cache import BATCH, TARGET_PIECES
from nano_corpus import Pair
from rouge_score.rouge_scorer import RougeScorer

from personaplug.nano import Nano, load_nano
from personaplug.tasks.task import load_task


def main() -> None:
    """Write one line per task and kind of prompt to standard output, and everything to ``scores.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/nano"), help="folder of the training run")
    work = parser.parse_args().work
    nano = load_nano()
    groups: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for line in (work / "dev.jsonl").read_text(encoding="utf-8").splitlines():
        pair = Pair(**json.loads(line))
        groups[pair.task, "with items" if pair.has_items else "without items"].append(pair)
    found: dict[str, dict[str, object]] = defaultdict(dict)
    for (task, kind), pairs in sorted(groups.items()):
        answers = respond(nano, [pair.prompt for pair in pairs])
        found[task][kind] = score(task, answers, [pair.target for pair in pairs])
        print(f"{task}, {kind}, {len(pairs)}: {found[task][kind]}", flush=True)  # noqa: T201 (a script's result)
    (work / "scores.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@torch.inference_mode()
def respond(nano: Nano, prompts: Sequence[str]) -> list[str]:
    """Answer each prompt, likeliest piece by likeliest piece."""
    answers: dict[int, str] = {}
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for begin in range(0, len(order), BATCH):
        batch = order[begin : begin + BATCH]
        inputs = nano.tokenizer([prompts[i] for i in batch], padding=True, return_tensors="pt")
        pieces = nano.model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=TARGET_PIECES
        )
        texts = nano.tokenizer.batch_decode(pieces, skip_special_tokens=True)
        answers |= dict(zip(batch, texts, strict=True))
    return [answers[i] for i in range(len(prompts))]


def score(task: str, answers: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """Give accuracy, or ROUGE-1 and ROUGE-L."""
    if load_task(task).kind == "classification":
        return {"accuracy": round(float(np.mean([a.strip() == t for a, t in zip(answers, targets, strict=True)])), 3)}
    scorer = RougeScorer(["rouge1", "rougeL"])
    each = [scorer.score(target, answer) for answer, target in zip(answers, targets, strict=True)]
    return {name: round(float(np.mean([scores[name].fmeasure for scores in each])), 3) for name in ("rouge1", "rougeL")}


if __name__ == "__main__":
    main()
