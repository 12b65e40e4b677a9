"""A synthetic log of users with hidden tastes, for demonstrations and tests.

No person wrote any of it. Every user has a taste that no row states but that most of the user's answers follow: in
``sample-tags`` which aspect of a work they name, in ``sample-headlines`` how they word a headline. A right answer needs
both the input and the taste: the user's commonest answer and the input's commonest answer are both mostly wrong.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from personaplug.data.sample_words import sample_words

SampleName = Literal["sample-tags", "sample-headlines"]
Case = Literal["Sentence", "Title", "lower", "FIRST"]

_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_WORKS = 300
_FORMS = (
    "{who} {does} {thing} in {place}",
    "why did the {who} {do} the {thing}?",
    "{place}: {who} {does} {thing}",
    "3 things about the {thing} in {place}",
    '"{quote}": {who} {does} {thing}',
    "{place} {thing}",
)
_LEADS = ("", "", "", "finally:", "breaking:", "local news:", "just in:")
_ADJECTIVES = ("", "", "", "famous", "beloved", "controversial", "wonderful")
_CASES: tuple[Case, ...] = ("Sentence", "Title", "lower", "FIRST")
_ENDINGS = ("", "", "!", "...", ".", " (with photos)")


@dataclass(frozen=True, slots=True)
class Work:
    """A text to tag, with the label of each of its aspects."""

    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TagTaste:
    """How one user tags: the pet label wherever it fits, else mostly the label of one aspect."""

    pet: str
    main_aspect: int
    second_aspect: int
    loyalty: float

    def favourite(self, work: Work) -> str:
        """Give the user's likeliest tag of a work."""
        return self.pet if self.pet in work.labels else work.labels[self.main_aspect]

    def tag(self, work: Work, random: Random) -> str:
        """Draw a tag: the favourite, or now and then the label of the second aspect."""
        return self.favourite(work) if random.random() < self.loyalty else work.labels[self.second_aspect]


@dataclass(frozen=True, slots=True)
class HeadlineTaste:
    """How one user words a headline; the form changes now and then, the small habits never do."""

    form: str
    lead: str
    adjective: str
    case: Case
    ending: str
    loyalty: float

    def headline(self, facts: Mapping[str, str], random: Random) -> str:
        """Write a headline from the facts ``who``, ``does``, ``do``, ``thing``, ``place`` and ``quote``."""
        form = self.form if random.random() < self.loyalty else random.choice(_FORMS)
        thing = f"{self.adjective} {facts['thing']}".strip()
        plain = f"{self.lead} {form.format_map({**facts, 'thing': thing})}".strip()
        return _in_case(plain, self.case) + ("" if plain.endswith("?") else self.ending)


def sample_log(
    task_name: SampleName, *, users: int = 300, seed: int = 0, items_per_user: tuple[int, int] = (8, 30)
) -> Iterator[dict[str, str]]:
    """Make the rows of a log, sorted by user and time; the same arguments always give the same rows.

    Args:
        task_name: The built-in task that the rows are for.
        users: How many; more users leave the rows of the others as they are.
        seed: Changes everything, the user ids too.
        items_per_user: Fewest and most rows a user has.
    """
    works = sample_works(seed)
    for user_id in sorted(_user_id(number, seed) for number in range(users)):
        random = Random(f"{task_name} of {user_id}")
        taste = tag_taste(user_id) if task_name == "sample-tags" else headline_taste(user_id)
        for number, time in enumerate(_times(random.randint(*items_per_user), random)):
            text, answer = _answer(taste, works, random=random)
            yield {
                "user_id": user_id,
                "time": time.isoformat(),
                "id": f"{user_id}/{number}",
                "input": text,
                "output": answer,
            }


def sample_works(seed: int) -> tuple[Work, ...]:
    """Make the works that all users of one seed tag."""
    random = Random(f"works {seed}")
    return tuple(_work(random) for _ in range(_WORKS))


def tag_taste(user_id: str) -> TagTaste:
    """Draw the hidden taste of a user who tags."""
    random = Random(f"tags by {user_id}")
    aspects = sample_words().aspects
    main, second = random.sample(range(len(aspects)), 2)
    pet = random.choice(random.choice(aspects).values).label
    return TagTaste(pet, main, second, loyalty=random.uniform(0.75, 0.9))


def headline_taste(user_id: str) -> HeadlineTaste:
    """Draw the hidden taste of a user who writes headlines."""
    random = Random(f"headlines by {user_id}")
    form, lead, adjective = random.choice(_FORMS), random.choice(_LEADS), random.choice(_ADJECTIVES)
    case, ending = random.choice(_CASES), random.choice(_ENDINGS)
    return HeadlineTaste(form, lead, adjective, case, ending, loyalty=random.uniform(0.8, 0.95))


def _user_id(number: int, seed: int) -> str:
    names = sample_words().names
    return f"{names[number % len(names)]}-{seed}-{number:03d}"


def _times(count: int, random: Random) -> Iterator[datetime]:
    time = _FIRST_DAY
    for _ in range(count):
        time += timedelta(hours=random.randint(6, 200))
        yield time


def _answer(taste: TagTaste | HeadlineTaste, works: tuple[Work, ...], *, random: Random) -> tuple[str, str]:
    if isinstance(taste, TagTaste):
        work = random.choice(works)
        return work.text, taste.tag(work, random)
    text, facts = _note(random)
    return text, taste.headline(facts, random)


def _work(random: Random) -> Work:
    words = sample_words()
    mood, *others = values = [random.choice(aspect.values) for aspect in words.aspects]
    clauses = [random.choice(value.phrases) for value in others]
    text = f"A {random.choice(mood.phrases)} {random.choice(words.works)} {clauses[0]}, {clauses[1]}, {clauses[2]}."
    return Work(text, tuple(value.label for value in values))


def _note(random: Random) -> tuple[str, dict[str, str]]:
    words = sample_words()
    person, deed, result = random.choice(words.people), random.choice(words.deeds), random.choice(words.results)
    place, occasion = random.choice(words.places), random.choice(words.occasions)
    text = f"{person.text} in {place} {deed.past} {occasion}, and {result.text}."
    facts = {"who": person.short, "does": deed.does, "do": deed.do, "thing": deed.thing}
    return text, facts | {"place": place, "quote": result.quote}


def _in_case(text: str, case: Case) -> str:
    match case:
        case "Title":
            return text.title()
        case "lower":
            return text.lower()
        case "FIRST":
            first, _, rest = text.partition(" ")
            return f"{first.upper()} {rest}"
        case _:
            return text[0].upper() + text[1:] if text[0] != '"' else text[:2].upper() + text[2:]
