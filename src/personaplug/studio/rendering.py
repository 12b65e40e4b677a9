"""The parts of the page that are read, as HTML; every text in them is escaped."""

from dataclasses import dataclass

from personaplug.errors import PersonaPlugError
from personaplug.plug.memory import Memory
from personaplug.reports.templates import environment
from personaplug.studio.session import Session
from personaplug.studio.studio import Studio

SHOWN = 8
"""Memories that the chart shows; the rest is summed up."""

_LONGEST = 300  # characters of one text of a memory

_TEMPLATES = environment("studio")


@dataclass(frozen=True, slots=True)
class Bar:
    """One memory in the chart.

    Attributes:
        memory: Which.
        length: Of its bar: 1 for the weightiest.
        is_new: Whether it was appended just now.
    """

    memory: Memory
    length: float
    is_new: bool


def draw_head(studio: Studio) -> str:
    """Say what is shown here: the task, the language model, the store."""
    run = studio.plug.run
    return _TEMPLATES.get_template("head.html").render(
        task=studio.plug.task, backbone=run.backbone.model, method=run.method, store=studio.store.path.name
    )


def draw_notice(said: str) -> str:
    """Say what was done; nothing for no words."""
    return _TEMPLATES.get_template("notice.html").render(said=said, hint="", is_error=False) if said else ""


def draw_refusal(error: PersonaPlugError) -> str:
    """Say what cannot be done, and what to do about it."""
    sentence = str(error)[:1].upper() + str(error)[1:].rstrip(".")
    return _TEMPLATES.get_template("notice.html").render(said=f"{sentence}.", hint=error.hint, is_error=True)


def draw_persona(session: Session) -> str:
    """Say whom the visitor looks at."""
    return _TEMPLATES.get_template("persona.html").render(
        persona=session.persona, summary=session.persona.summary() if session.persona else None
    )


def draw_answers(session: Session) -> str:
    """Set the answers with and without persona side by side."""
    return _TEMPLATES.get_template("answers.html").render(
        persona=session.persona, answered=session.answered, before=session.before
    )


def draw_memories(session: Session) -> str:
    """Draw the memories by weight, as a table with bars."""
    memories = session.answered.memories if session.answered else ()
    rest = memories[SHOWN:]
    return _TEMPLATES.get_template("memories.html").render(
        bars=bars(memories[:SHOWN], newest=session.newest),
        count=len(memories),
        rest=len(rest),
        rest_weight=sum(memory.weight for memory in rest),
        longest=_LONGEST,
    )


def draw_question(session: Session) -> str:
    """Ask whether the user is to be forgotten."""
    return _TEMPLATES.get_template("question.html").render(
        persona=session.persona,
        items=session.persona.summary().items if session.persona else 0,
        store=session.studio.store.path.name,
    )


def bars(memories: tuple[Memory, ...], *, newest: str | None = None) -> list[Bar]:
    """Measure the bars of memories, the weightiest first."""
    longest = memories[0].weight if memories else 1.0
    return [Bar(memory, memory.weight / longest if longest else 0.0, memory.item.id == newest) for memory in memories]
