"""One visitor's way through the studio: whose persona they look at, what they asked, what they changed."""

from datetime import UTC, datetime

from personaplug.errors import StudioError
from personaplug.records import HistoryItem
from personaplug.studio.pasted import checked, read_date
from personaplug.studio.persona import Answered, Persona, new_id
from personaplug.studio.studio import Studio


class Session:
    """What one visitor sees; a step that fails leaves it as it was.

    Args:
        studio: Where they are.

    Attributes:
        persona: Whom they look at; None before they choose.
        answered: What their last input gave; None before they ask.
        before: What it gave before the latest memory was appended; None where none was, since they asked.
        newest: The id of that memory.
        said: What the last step did, in a sentence; empty where the page shows it.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.persona: Persona | None = None
        self.answered: Answered | None = None
        self.before: Answered | None = None
        self.newest: str | None = None
        self.said = ""

    def choose(self, user: str, text: str = "") -> None:
        """Look at a user of the store, and ask them what was typed already.

        Raises:
            StudioError: There is no such user.
        """
        checked(text)
        self._look_at(self.studio.persona(user), text)

    def paste(self, history: str, text: str = "") -> None:
        """Look at a pasted history, and ask it what was typed already.

        Raises:
            StudioError: It is no history.
        """
        checked(text)
        self._look_at(self.studio.pasted(history, now=datetime.now(UTC)), text)

    def ask(self, text: str) -> None:
        """Answer an input with and without persona.

        Raises:
            StudioError: Nobody is chosen, or nothing is typed.
            UnknownUserError: The user was forgotten meanwhile.
        """
        persona = self._chosen()
        if not checked(text).strip():
            raise StudioError("Type an input first.")
        self.answered = persona.ask(text)
        self.before = self.newest = None
        self.said = ""

    def suggest(self) -> str:
        """Find an input to try.

        Raises:
            StudioError: There is none.
        """
        self.said = ""
        return self.studio.suggest(self.persona)

    def append(self, text: str, output: str, date: str = "") -> None:
        """Add a memory to whom they look at, and ask again what was asked last.

        Raises:
            StudioError: Nobody is chosen, there is no output, or the date is none.
        """
        persona = self._chosen()
        if not output.strip():
            raise StudioError("A memory needs an output: what this person answered.")
        time = read_date(date, now=datetime.now(UTC))
        item = HistoryItem(new_id(), input=checked(text).strip(), output=checked(output).strip(), time=time)
        persona.append([item])
        self.before, self.newest = self.answered, item.id
        self.answered = persona.ask(self.answered.text) if self.answered else None
        self.said = "The memory is appended." + (" Below is the answer with it." if self.answered else "")

    def forget(self) -> None:
        """Forget whom they look at.

        Raises:
            StudioError: Nobody is chosen.
            StoreError: Remains could not be wiped out; repeat.
        """
        persona = self._chosen()
        gone = persona.forget()
        self.persona = self.answered = self.before = self.newest = None
        where = "nothing of it is kept" if persona.is_pasted else f"no byte is left in {self.studio.store.path.name}"
        self.said = f"Forgot {persona.user}: {_memories(gone)}; {where}."

    def close(self) -> None:
        """Let go of what was pasted."""
        if self.persona:
            self.persona.close()
        self.persona = self.answered = self.before = self.newest = None

    def _look_at(self, persona: Persona, text: str) -> None:
        self.close()
        self.persona = persona
        self.said = ""
        if text.strip():
            self.ask(text)

    def _chosen(self) -> Persona:
        if self.persona is None:
            raise StudioError("Choose a user or paste a history first.")
        return self.persona


def _memories(count: int) -> str:
    return f"{count:,} {'memory' if count == 1 else 'memories'}"
