"""The names of methods that have runs. Without torch, so that a command can list them in its help."""

from typing import Literal, get_args

Trained = Literal["plug", "plug+bm25", "plug+dense", "tuned-prompt", "tuned-prompt+bm25", "tuned-prompt+dense"]
Ropg = Literal["ropg-kd", "ropg-rl"]
Rspg = Literal["rspg-pre", "rspg-post"]
LearnedRetrieval = Literal[Ropg, Rspg]

MIXED = tuple(name for name in get_args(Trained) if "+" in name)
"""Those with vectors and retrieved items in one prompt."""

LEARNED: tuple[LearnedRetrieval, ...] = get_args(LearnedRetrieval)
