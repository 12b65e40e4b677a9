"""What a method answered to one query, and how likely it held the right answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of a report.

    Attributes:
        id: Of the example, unique within its user.
        user_id: Of the user who asked, also where the method was given a stranger's history.
        history_items: How many items the method was given.
        input: What was asked.
        prediction: What the method answered.
        target: What the user wrote; None where it is not known.
        log_likelihood: Mean log-probability of a token of ``target``, in nats; None where it was not measured.
        tokens: Tokens of ``target`` that ``log_likelihood`` is the mean of.
    """

    id: str
    user_id: str
    history_items: int
    input: str
    prediction: str
    target: str | None = None
    log_likelihood: float | None = None
    tokens: int | None = None

    @property
    def query(self) -> tuple[str, str]:
        """What tells this query from all others: who asked, and its id."""
        return self.user_id, self.id
