"""A frozen language model that answers in each user's own way.

Names are imported when they are first used, so that ``import personaplug`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from personaplug.backbone.base import GenerationConfig as GenerationConfig
    from personaplug.plug.model import PersonaPlug as PersonaPlug
    from personaplug.records import Example as Example
    from personaplug.records import HistoryItem as HistoryItem
    from personaplug.records import Profile as Profile
    from personaplug.store.persona_store import PersonaStore as PersonaStore
    from personaplug.tasks.task import Task as Task
    from personaplug.tasks.task import load_task as load_task

_HOMES = {
    "Example": "records",
    "GenerationConfig": "backbone.base",
    "HistoryItem": "records",
    "PersonaPlug": "plug.model",
    "PersonaStore": "store.persona_store",
    "Profile": "records",
    "Task": "tasks.task",
    "load_task": "tasks.task",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
