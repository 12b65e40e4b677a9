"""What each contender needs of a bench, by its method's name.

A recipe knows one kind of name more than ``evaluate --method``: ``user-lora+bm25`` is ``user-lora`` with items in its
prompts, their number the recipe's, and so with the other retrievers that adapters can be trained with.
"""

from typing import get_args

from personaplug.cli.retrievers import Retrieval
from personaplug.plug.names import LEARNED, MIXED, Rspg, Trained
from personaplug.plug.retrieval_run import is_ropg
from personaplug.plug.run import has_persona
from personaplug.plug.user_lora import AdapterItems

ADAPTED = ("user-lora", *(f"user-lora+{retriever}" for retriever in get_args(AdapterItems)))


def command_method(name: str) -> str:
    """Give the method as other commands know it, of a name in a recipe."""
    return "user-lora" if is_adapted(name) else name


def is_adapted(method: str) -> bool:
    """Tell what has an adapter for each user."""
    return method in ADAPTED


def adapter_items(method: str) -> AdapterItems | None:
    """Give what chooses the items in adapters' prompts; None where there are none."""
    return next((each for each in get_args(AdapterItems) if method == f"user-lora+{each}"), None)


def is_plug_run(method: str) -> bool:
    """Tell what has a run of a plug: a persona, or the tuned prompt that is its control."""
    return method in get_args(Trained)


def is_persona(method: str) -> bool:
    """Tell what puts a persona before the input."""
    return is_plug_run(method) and has_persona(method)


def meets_strangers(method: str) -> bool:
    """Tell what is measured with strangers' histories too: whatever has learnt what to make of a history."""
    return is_persona(method) or is_adapted(method)


def is_learned(method: str) -> bool:
    """Tell a trained retriever and a trained choice between retrievers."""
    return method in LEARNED


def is_trained(method: str) -> bool:
    """Tell what has a run for each seed."""
    return is_plug_run(method) or is_learned(method) or is_adapted(method)


def is_retrieval(method: str) -> bool:
    """Tell what puts retrieved items into the prompt and nothing else: the best of these is what others must beat."""
    return method in get_args(Retrieval) or is_learned(method)


def has_items(method: str) -> bool:
    """Tell what puts retrieved items into the prompt: their number is chosen on dev."""
    return is_retrieval(method) or method in MIXED or adapter_items(method) is not None


def shows_items(method: str) -> bool:
    """Tell what has the language model read a user's items as text: in the prompt, or for a description of the user."""
    return has_items(method) or method == "text-profile"


def is_trained_for_k(method: str) -> bool:
    """Tell what has a run for each number of items."""
    return is_trained(method) and has_items(method) and not is_ropg(method)


def is_chooser(method: str) -> bool:
    """Tell what chooses between retrievers, the recipe's trained ones too: it is trained after them."""
    return method in get_args(Rspg)


def needs_store(method: str) -> bool:
    """Tell what reads vectors of histories."""
    return is_persona(method) or method.endswith("dense") or is_learned(method)
