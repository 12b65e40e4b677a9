"""What each method needs of a bench, by its name."""

from typing import get_args

from personaplug.cli.retrievers import Retrieval
from personaplug.plug.retrieval_run import LearnedRetrieval, Rspg, is_ropg
from personaplug.plug.run import Trained


def is_plug_run(method: str) -> bool:
    """Tell what has a run of a plug: a persona, or the tuned prompt that is its control."""
    return method in get_args(Trained)


def is_persona(method: str) -> bool:
    """Tell what is measured with strangers' histories too."""
    return is_plug_run(method) and method != "tuned-prompt"


def is_trained(method: str) -> bool:
    """Tell what has a run for each seed."""
    return is_plug_run(method) or method in get_args(LearnedRetrieval) or method == "user-lora"


def is_retrieval(method: str) -> bool:
    """Tell what puts retrieved items into the prompt and nothing else: its number of items is chosen on dev."""
    return method in (*get_args(Retrieval), *get_args(LearnedRetrieval))


def is_trained_for_k(method: str) -> bool:
    """Tell what has a run for each number of items."""
    return method in get_args(Rspg)


def needs_store(method: str) -> bool:
    """Tell what reads vectors of histories."""
    return is_persona(method) or method == "dense" or method in get_args(LearnedRetrieval)


__all__ = ["is_persona", "is_plug_run", "is_retrieval", "is_ropg", "is_trained", "is_trained_for_k", "needs_store"]
