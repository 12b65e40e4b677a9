"""What the page shows after a step, piece by piece."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from personaplug.errors import PersonaPlugError, UnknownUserError
from personaplug.studio import rendering
from personaplug.studio.session import Session

Step = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class PageState:
    """The pieces in the order in which :class:`personaplug.studio.page.Page` lists its components.

    Attributes:
        notice: What was done, or what cannot be done.
        persona: Whom the visitor looks at.
        answers: Side by side.
        memories: By weight.
        question: Whether to forget this user.
        has_persona: Whether there is someone to append to, and to forget.
        is_refused: Whether the step failed.
    """

    notice: str
    persona: str
    answers: str
    memories: str
    question: str
    has_persona: bool
    is_refused: bool

    def updates(self) -> list[Any]:
        """Give the new values of the page's components; the question whether to forget is closed."""
        return [
            self.notice,
            self.persona,
            self.answers,
            self.memories,
            self.question,
            gr.update(visible=self.has_persona),
            gr.update(visible=False),
        ]


def play(step: Step, session: Session) -> PageState:
    """Do a step of a session and draw what is to be seen then; an error of ours becomes a sentence."""
    refusal = None
    try:
        step(session)
    except PersonaPlugError as error:
        refusal = error
    try:
        return _draw(session, refusal)
    except UnknownUserError as error:  # somebody else has forgotten whom they look at
        session.close()
        return _draw(session, error)


def _draw(session: Session, refusal: PersonaPlugError | None) -> PageState:
    return PageState(
        rendering.draw_refusal(refusal) if refusal else rendering.draw_notice(session.said),
        persona=rendering.draw_persona(session),
        answers=rendering.draw_answers(session),
        memories=rendering.draw_memories(session),
        question=rendering.draw_question(session),
        has_persona=session.persona is not None,
        is_refused=refusal is not None,
    )
