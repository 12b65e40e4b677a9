"""The page: its fields and buttons, and what each of them does."""

from typing import Any

import gradio as gr

from personaplug.studio.page_state import PageState, Step, play
from personaplug.studio.pasted import FORMAT
from personaplug.studio.rendering import draw_head
from personaplug.studio.session import Session
from personaplug.studio.sessions import Sessions
from personaplug.studio.studio import LISTED

_EXAMPLE = "2024-05-01 | Night falls on the harbour | Harbour at night\nThe old bridge is closed | Closed: a bridge"
_PROMISE = '<p class="quiet small">It stays in this program&rsquo;s memory and is gone when you leave.</p>'
_BARE: dict[str, Any] = {"padding": False, "apply_default_css": False, "elem_classes": "bare"}
_MORE = f"The first {LISTED:,} are listed: choose with the arrow keys, or type a whole id and press Enter."
_FOCUS = "() => setTimeout(() => document.querySelector('{}')?.focus(), 200)"


class Page:
    """Everything that is on the page.

    Args:
        sessions: Where what visitors do is done.

    Attributes:
        blocks: The page as gradio knows it.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._first = sessions.ask(lambda studio: play(Session.close, Session(studio)))
        # Analytics tell gradio's makers of every launch.
        with gr.Blocks(title="personaplug studio", analytics_enabled=False) as self.blocks:
            gr.HTML(sessions.ask(draw_head), **_BARE)
            with gr.Row(elem_id="rooms"):
                with gr.Column(scale=2, min_width=300):
                    self._lay_out_who()
                    self._lay_out_input()
                with gr.Column(scale=3, min_width=300):
                    self._lay_out_what_is_seen()
                    self._lay_out_what_if()
            self.state = [self.notice, self.persona, self.answers, self.memories]
            self.state += [self.question, self.growing, self.asking]
            self._wire()

    def _lay_out_who(self) -> None:
        gr.HTML("<h2>1 · Who</h2>", **_BARE)
        with gr.Tabs(elem_id="who"):
            with gr.Tab("Choose a user"):
                # Filled when the page is opened: a user forgotten meanwhile is not in it.
                self.user = gr.Dropdown(
                    [],
                    value=None,
                    label="User",
                    info="Type to search; Enter takes the first that fits.",
                    elem_id="user",
                )
            with gr.Tab("Paste a history"):
                self.history = gr.Textbox(
                    label="History", info=FORMAT, placeholder=_EXAMPLE, lines=6, max_lines=12, elem_id="history"
                )
                gr.HTML(_PROMISE, **_BARE)
                self.use = gr.Button("Use this history", elem_id="use")
        self.persona = gr.HTML(self._first.persona, elem_id="persona", **_BARE)

    def _lay_out_input(self) -> None:
        gr.HTML("<h2>2 · What</h2>", **_BARE)
        self.input = gr.Textbox(
            label="Input", info="Enter asks; Shift + Enter begins a new line.", lines=1, max_lines=8, elem_id="input"
        )
        with gr.Row(elem_classes="buttons"):
            self.ask = gr.Button("Ask", variant="primary", elem_id="ask")
            self.suggest = gr.Button("Suggest an input", elem_id="suggest")

    def _lay_out_what_is_seen(self) -> None:
        self.notice = gr.HTML(elem_id="notice", **_BARE)
        self.answers = gr.HTML(self._first.answers, elem_id="answers", **_BARE)
        self.memories = gr.HTML(elem_id="memories", **_BARE)

    def _lay_out_what_if(self) -> None:
        with gr.Column(visible=False, elem_id="growing") as self.growing:
            gr.HTML("<h2>3 · What if</h2>", **_BARE)
            with gr.Row():
                self.read = gr.Textbox(
                    label="What this person read", lines=1, max_lines=4, min_width=200, elem_id="read"
                )
                self.wrote = gr.Textbox(
                    label="What they answered", lines=1, max_lines=4, min_width=200, elem_id="wrote"
                )
                self.date = gr.Textbox(
                    label="Date, if not now", placeholder="2024-05-01", min_width=140, elem_id="date"
                )
            with gr.Row(elem_classes="buttons"):
                self.append = gr.Button("Append and ask again", elem_id="append")
                self.forget = gr.Button("Forget this user …", variant="stop", elem_id="forget")
            with gr.Column(visible=False, elem_id="asking") as self.asking:
                self.question = gr.HTML(**_BARE)
                with gr.Row(elem_classes="buttons"):
                    self.keep = gr.Button("Keep", elem_id="keep")
                    self.sure = gr.Button("Yes, forget for good", variant="stop", elem_id="sure")

    def _wire(self) -> None:
        shown: dict[str, Any] = {"outputs": self.state, "show_progress_on": [self.answers]}
        quiet: dict[str, Any] = {"api_visibility": "private"}
        self.blocks.load(self._open, None, [self.user, *self.state], show_progress="hidden", **quiet)
        self.blocks.unload(self._leave)
        self.user.input(self._choose, [self.user, self.input], **shown, **quiet)
        self.use.click(self._paste, [self.history, self.input], **shown, **quiet)
        gr.on([self.ask.click, self.input.submit], self._ask, [self.input], **shown, **quiet)
        self.suggest.click(self._suggest, None, [self.input, *self.state], show_progress="hidden", **quiet)
        fields = [self.read, self.wrote, self.date]
        again: dict[str, Any] = {"outputs": [*self.state, *fields], "show_progress_on": [self.answers]}
        gr.on([self.append.click, self.wrote.submit], self._append, fields, **again, **quiet)
        self.forget.click(lambda: gr.update(visible=True), None, self.asking, show_progress="hidden", **quiet).then(
            None, js=_FOCUS.format("#keep"), **quiet
        )
        self.keep.click(lambda: gr.update(visible=False), None, self.asking, show_progress="hidden", **quiet).then(
            None, js=_FOCUS.format("#forget"), **quiet
        )
        self.sure.click(self._forget, None, [self.user, *self.state], **quiet).then(
            None, js=_FOCUS.format("#user input"), **quiet
        )

    def _open(self, request: gr.Request) -> list[Any]:
        return [self._users(), *self._step(request, lambda session: session.close()).updates()]

    def _choose(self, user: str | None, text: str, request: gr.Request) -> list[Any]:
        if not user:
            return [gr.skip()] * len(self.state)
        return self._step(request, lambda session: session.choose(user, text)).updates()

    def _paste(self, history: str, text: str, request: gr.Request) -> list[Any]:
        return self._step(request, lambda session: session.paste(history, text)).updates()

    def _ask(self, text: str, request: gr.Request) -> list[Any]:
        return self._step(request, lambda session: session.ask(text)).updates()

    def _suggest(self, request: gr.Request) -> list[Any]:
        found: list[str] = []
        state = self._step(request, lambda session: found.append(session.suggest()))
        return [found[0] if found else gr.skip(), *state.updates()]

    def _append(self, read: str, wrote: str, date: str, request: gr.Request) -> list[Any]:
        state = self._step(request, lambda session: session.append(read, wrote, date))
        return [*state.updates(), *([gr.skip()] * 3 if state.is_refused else [""] * 3)]

    def _forget(self, request: gr.Request) -> list[Any]:
        state = self._step(request, lambda session: session.forget())
        return [gr.skip() if state.is_refused else self._users(), *state.updates()]

    def _leave(self, request: gr.Request) -> None:
        self.sessions.leave(str(request.session_hash))

    def _users(self) -> Any:  # noqa: ANN401 (gradio's update of a component)
        users = self.sessions.ask(lambda studio: studio.users())
        # Where there are more, any id can be typed; Enter then takes it as it stands.
        more = {"allow_custom_value": True, "info": _MORE} if len(users) == LISTED else {}
        return gr.update(choices=users, value=None, **more)

    def _step(self, request: gr.Request, step: Step) -> PageState:
        return self.sessions.at(str(request.session_hash), lambda session: play(step, session))
