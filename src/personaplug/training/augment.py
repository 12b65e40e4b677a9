"""Show the plug another part of each history every time.

The paper's code puts ten more copies of each example on disk, each with a random half to all-but-one of its history.
Drawing anew whenever an example is seen gives more variety at no cost in time or disk.
"""

import random
from dataclasses import replace

from personaplug.records import Example, Profile


def without_history(example: Example, *, share: float, seed: str) -> Example:
    """Leave a share of all draws without any history, so that what a new user gets is trained.

    Args:
        example: The whole example.
        share: Of the draws, from 0 for none to below 1.
        seed: The same seed leaves the same draws without.
    """
    if random.Random(f"{seed}/none").random() >= share:
        return example
    return replace(example, profile=Profile(example.profile.user_id))


def drop_history(example: Example, *, seed: str) -> Example:
    """Keep a random half to all of an example's history, order kept; histories of two or fewer stay whole.

    Args:
        example: The whole example.
        seed: The same seed keeps the same items, in every process.
    """
    items = example.profile.items
    if len(items) <= 2:
        return example
    draw = random.Random(seed)
    kept = draw.randint((len(items) + 1) // 2, len(items))
    places = sorted(draw.sample(range(len(items)), kept))
    return replace(example, profile=Profile(example.profile.user_id, tuple(items[place] for place in places)))
