"""Measure the three leaks for every form under every switch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional

from benchmarks.intervals import mean_over_users
from benchmarks.leak import linkage, membership, openings
from benchmarks.leak.forms import Form, PersonaForm
from benchmarks.leak.inversion import Known, Named, Reading, guess, ridge_names
from benchmarks.leak.linkage import Rows
from benchmarks.leak.membership import Items
from benchmarks.leak.population import Population, latest, random_halves, showing
from benchmarks.leak.pursuit import Found, nearest, pursue, undone, words_of
from benchmarks.leak.switches import NONE, Switch, Vectors
from benchmarks.leak.words import Bag, Vocabulary, Words
from personaplug.embedder.wording import WordingProjector
from personaplug.evaluation.significance import Estimate
from personaplug.plug.model import PersonaPlug
from personaplug.plug.prefix import PersonaPrefix
from personaplug.records import Example, HistoryItem, Profile

MOST, FIRST = 24, 8
"""Tokens that a pursuit looks for: in a mean of all items, and in a mean where few items weigh most."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one attack came to on one form under one switch."""

    form: str
    switch: str
    attack: str
    figures: dict[str, Estimate | float]


class Measurement:
    """The users, their words and the attacker's knowledge, with whatever was made of them already.

    Args:
        plug: Gives tokens, embeddings and personas.
        population: Whom to attack, and whom the attacker knows.
        seed: Of random halves and of intervals.
    """

    def __init__(self, plug: PersonaPlug, population: Population, *, seed: int) -> None:
        self.plug = plug
        self.seed = seed
        self.population = population
        self.reported = list(population.reported)
        self.known = [*population.known, *random_halves(population.known, seed=seed)]
        self.words = Words.of(plug.backbone)
        self.table = plug.backbone.model.get_input_embeddings().weight.detach().float()
        self.ids = [_ids(plug, each) for each in self.reported]
        self.bags = [self._bag(each) for each in self.reported]
        self.known_bags = [self._bag(each) for each in self.known]
        self.vocabulary = self._vocabulary()
        self._of_items: dict[str, dict[tuple[int, HistoryItem], Vectors]] = {}
        self._made: dict[tuple[str, str, int, float | None], list[Vectors]] = {}

    def made(self, form: Form, switch: Switch, examples: Sequence[Example], *, label: str) -> list[Vectors]:
        """Make a form's vectors once for all switches that only change vectors; ``label`` names the examples."""
        key = (form.made_as, label, switch.items, switch.temperature)
        if key not in self._made:
            self._made[key] = form(examples, replace(switch, change=lambda vectors: vectors))
        rows = self._made[key]
        return list(form.held(switch.change(torch.cat(rows))).split([len(each) for each in rows]))

    def guessed(self) -> Line:
        """Score the words that most users write, the same for everybody."""
        named = [guess(self.vocabulary)] * len(self.reported)
        return Line("nothing", "none", "most frequent words", self._read(named))

    def trained(self, form: Form, switch: Switch) -> Line:
        """Score a ridge from the form's vectors to words."""
        rows = self.made(form, switch, self.known, label="known")
        held = [_flat(each) for each in self.made(form, switch, self.reported, label="reported")]
        named = ridge_names(self._known(rows), held, vocabulary=self.vocabulary)
        return Line(form.name, switch.name, "ridge", self._read(named))

    def linked(self, form: Form, switch: Switch) -> Line:
        """Rank each user's later half among all users', by the earlier half."""
        halves = {"earlier": linkage.earlier_half, "later": linkage.later_half}
        first, second = (
            self._means(form, switch, showing(self.reported, keep), label=label) for label, keep in halves.items()
        )
        center = self._means(form, switch, self.known, label="known").mean(dim=0)
        found = linkage.ranks(first, second, center=center).tolist()
        rate = mean_over_users([float(rank == 1) for rank in found], seed=self.seed)
        figures = {"rank 1": rate, "median rank": float(np.median(found)), "chance": 1 / len(found)}
        return Line(form.name, switch.name, "cosine of halves", figures)

    def told(self, form: Form, switch: Switch) -> Line:
        """Compare what is made of an item alone with what is held of the history that it may be in."""
        histories = self._member_histories(switch)
        held = self.made(form, switch, histories, label="members")
        alone = self._alone(form)

        def score(at: int, items: Items) -> list[float]:
            return [likeness(alone[at, item], held[at], is_there=self._places(form, item)) for item in items]

        return Line(form.name, switch.name, "likeness of the item alone", self._auc(histories, score))

    def pursued(self, form: PersonaForm, switch: Switch, *, most: int) -> Iterator[Line]:
        """Undo the map of the openings of one half of a persona and look for tokens; nearest rows beside it."""
        held = self.made(form, switch, self.reported, label="reported")
        found = self._openings(form, held, most=most)
        figures: dict[str, Estimate | float] = {
            "recall": self._mean([openings.recall(each, ids) for each, ids in zip(found, self.ids, strict=True)]),
            "precision": self._mean([openings.precision(each, ids) for each, ids in zip(found, self.ids, strict=True)]),
            "word for word": self._mean(
                [float(openings.is_word_for_word(each, ids)) for each, ids in zip(found, self.ids, strict=True)]
            ),
        }
        yield Line(form.name, switch.name, "pursuit", self._read([self._words(each) for each in found]) | figures)
        close = self._openings(form, held, most=10, is_pursuit=False)
        yield Line(form.name, switch.name, "nearest rows", self._read([self._words(each) for each in close]))

    def told_by_pursuit(self, form: PersonaForm, switch: Switch) -> Line:
        """Tell members by how many of their first tokens a pursuit found at their places."""
        histories = self._member_histories(switch)
        found = self._openings(form, self.made(form, switch, histories, label="members"), most=MOST)

        def score(at: int, items: Items) -> list[float]:
            outputs = self.plug.backbone.reader.ids([item.output for item in items])
            return [openings.share_found(found[at], ids) for ids in outputs]

        return Line(form.name, switch.name, "pursuit", self._auc(histories, score))

    def _auc(self, histories: Sequence[Example], score: Callable[[int, Items], list[float]]) -> dict[str, Estimate]:
        """Tell members from the user's later items and from a stranger's items, by a score of a user's items."""
        later, theirs = [], []
        for at, (stranger, history) in enumerate(zip(self.population.strangers, histories, strict=True)):
            inside = history.profile.items
            scores = score(at, inside)
            own, other = (
                membership.not_among(items, inside)
                for items in (membership.later(self._items(at)), self._items(stranger))
            )
            later.append(membership.auc(scores, score(at, own)))
            theirs.append(membership.auc(scores, score(at, other)))
        pairs = {"later": later, "stranger": theirs}
        return {name: self._mean([each for each in values if not isnan(each)]) for name, values in pairs.items()}

    def _alone(self, form: Form) -> dict[tuple[int, HistoryItem], Vectors]:
        """Make a form's vectors of each item alone that a user's history is asked for, the user's query beside it."""
        if form.name not in self._of_items:
            asked = [
                (at, replace(example, profile=Profile(owner.user_id, (item,))))
                for at, (example, stranger) in enumerate(zip(self.reported, self.population.strangers, strict=True))
                for owner in (example.profile, self.reported[stranger].profile)
                for item in owner.items
            ]
            made = map(form.held, form([example for _, example in asked], NONE))
            keys = ((at, example.profile.items[0]) for at, example in asked)
            self._of_items[form.name] = dict(zip(keys, made, strict=True))
        return self._of_items[form.name]

    def _places(self, form: Form, item: HistoryItem) -> Bool[Tensor, " vectors"]:
        """Say which vectors an item has a part in: a short output has no token at the later places."""
        if not isinstance(form, PersonaForm) or form.plug.run.embedder.made_of != "outputs":
            return torch.ones(1, dtype=torch.bool)
        config = form.plug.run.embedder
        length = len(form.plug.backbone.reader.ids([item.output])[0])
        half = torch.arange(config.output_tokens + 1) < length
        return half.repeat(1 + config.has_mean)[form.first : form.last]

    def _member_histories(self, switch: Switch) -> list[Example]:
        return latest(showing(self.reported, membership.members), switch.items)

    def _items(self, at: int) -> Items:
        return self.reported[at].profile.items

    def _means(self, form: Form, switch: Switch, examples: Sequence[Example], *, label: str) -> Rows:
        """Give one row a user: where there is a row an item, their mean."""
        return torch.stack([rows.mean(dim=0).flatten() for rows in self.made(form, switch, examples, label=label)])

    def _known(self, rows: Sequence[Vectors]) -> Known:
        """Pair what the attacker holds of known users with their words: of each item its own, where there are such."""
        if all(len(each) == 1 for each in rows):
            users = [example.profile.user_id for example in self.known]
            return Known(np.concatenate([_flat(each) for each in rows]), self.known_bags, users)
        items = {
            (example.profile.user_id, item.id): (row, item.output)
            for example, held in zip(self.known, rows, strict=True)
            for item, row in zip(example.profile.items[-len(held) :], held, strict=True)
        }
        features = np.stack([row.flatten().numpy() for row, _ in items.values()])
        return Known(features, [self.words.bag([text]) for _, text in items.values()], [user for user, _ in items])

    def _vocabulary(self) -> Vocabulary:
        """Take the words of each known user together, whatever the query."""
        texts: dict[str, set[str]] = {}
        for example in self.population.known:
            texts.setdefault(example.profile.user_id, set()).update(item.output for item in example.profile.items)
        return Vocabulary(tuple(self.words.bag(sorted(each)) for each in texts.values()))

    def _bag(self, example: Example) -> Bag:
        return self.words.bag([item.output for item in example.profile.items])

    def _words(self, found: list[Found]) -> list[int]:
        return words_of(found, self.words.of_token)

    def _read(self, named: Sequence[Named]) -> dict[str, Estimate]:
        return Reading.of(
            named, self.bags, strangers=self.population.strangers, vocabulary=self.vocabulary, seed=self.seed
        ).figures

    def _mean(self, values: Sequence[float]) -> Estimate:
        return mean_over_users(values, seed=self.seed)

    def _openings(
        self, form: PersonaForm, held: Sequence[Vectors], *, most: int, is_pursuit: bool = True
    ) -> list[list[Found]]:
        vectors = undone(torch.cat(list(held)), _projector(form))[:, :-1]
        attack = pursue if is_pursuit else nearest
        found = attack(vectors.flatten(0, 1), self.table, most=most)
        places = vectors.shape[1]
        return [found[first : first + places] for first in range(0, len(found), places)]


def likeness(item: Vectors, held: Vectors, *, is_there: Bool[Tensor, " vectors"]) -> float:
    """Give the mean cosine of an item's vectors with those of the row that is most like them."""
    cosines = functional.cosine_similarity(item, held, dim=-1) * is_there
    return float((cosines.sum(dim=-1) / is_there.expand_as(cosines).sum(dim=-1).clamp(min=1)).max())


def _projector(form: PersonaForm) -> WordingProjector:
    """Find the map that made one half of a persona's vectors."""
    assert isinstance(form.plug.prefix, PersonaPrefix)
    embedder = form.plug.prefix.embedder
    found = embedder.mean_projector if form.first else embedder.projector
    assert isinstance(found, WordingProjector)
    return found


def _ids(plug: PersonaPlug, example: Example) -> list[list[int]]:
    return plug.backbone.reader.ids([item.output for item in example.profile.items])


def _flat(rows: Vectors) -> np.ndarray:
    flat: np.ndarray = rows.flatten(1).numpy()
    return flat
