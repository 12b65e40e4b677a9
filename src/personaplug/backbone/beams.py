"""Beam search for encoder-decoders: what transformers finds with its defaults, without its wasted work.

Its loop projects the encoder's states for every beam, carries those copies along at every step, and goes on with
answers that have ended until the last of the batch has. Here the states are projected once a query, beams change places
among what has been written alone, and queries whose answers are settled leave the batch. The rules are those of
``GenerationMixin._beam_search`` (https://github.com/huggingface/transformers, version 5) with a length penalty of 1.
"""

from collections.abc import Collection, Sized
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from personaplug.backbone.tokens import TokenEmbeddings

LEAVE_AT = 0.25
"""Settled queries leave once they are this share of the batch: whenever some leave, the others' rows are copied."""

ENCODED_AT_ONCE = 8
"""Inputs of one batch that are encoded together: fewer, of similar length, are padded less."""

_NEVER = -1e9


def candidates(beams: int, ends: Sized) -> int:
    """Count the continuations of a query that are looked at: enough to go on, should each beam end in every way."""
    return max(2, 1 + len(ends)) * beams


class BeamSearch:
    """Answers to a batch of inputs, growing by a token a step.

    Args:
        model: An encoder-decoder.
        inputs: What it reads, padded on the right.
        beams: Answers of a query that go on, and ended ones that are kept. There must be words for :func:`candidates`.
        ends: Tokens that end an answer.
    """

    def __init__(self, model: PreTrainedModel, inputs: TokenEmbeddings, *, beams: int, ends: Collection[int]) -> None:
        self.model, self.beams = model, beams
        self.ends = torch.tensor(sorted(ends), device=inputs.embeds.device)
        self.queries = [Ended(beams) for _ in inputs.embeds]
        self._open = list(self.queries)
        self._rows = Rows.read(model, inputs)
        start = model.generation_config.decoder_start_token_id
        self._tokens = torch.full((len(self.queries), 1, 1), start, device=self.ends.device)
        self._scores = torch.zeros(len(self.queries), 1, device=self.ends.device)

    def run(self, *, most: int) -> list[list[int]]:
        """Give each input the tokens, its end included, of the likeliest answer found of at most so many tokens."""
        for length in range(1, most + 1):
            self._grow(length, is_last=length == most)
            if all(query.is_settled for query in self._open):
                break
            self._let_settled_leave()
        return [query.kept[0][1] for query in self.queries]

    def _grow(self, length: int, *, is_last: bool) -> None:
        """Write one more token: of the likeliest continuations the ended are kept, the others go on."""
        count = candidates(self.beams, self.ends)
        # A query takes no more than all its candidates after one beam: the sums with other words need not be made.
        ahead = self._rows.log_probabilities(self.model, self._tokens[:, :, -1].flatten()).topk(count)
        sums = self._scores[:, :, None] + ahead.values.unflatten(0, self._scores.shape)
        scores, places = sums.flatten(1).topk(count)
        parents, words = places // count, ahead.indices.reshape(len(places), -1).gather(1, places)
        tokens = torch.cat([_of(self._tokens, parents), words[:, :, None]], dim=-1)
        has_ended = torch.isin(words, self.ends) | is_last
        self._keep_ended(scores / length, tokens, has_ended=has_ended)
        self._scores, going_on = (scores + _NEVER * has_ended).topk(self.beams)
        self._tokens = _of(tokens, going_on)
        self._rows.follow(parents.gather(1, going_on))
        for query, hope in zip(self._open, (self._scores[:, 0] / length).tolist(), strict=True):
            query.weigh(hope)

    def _keep_ended(self, scores: Tensor, tokens: Tensor, *, has_ended: Tensor) -> None:
        """Keep those that have ended among the best; the rest are there to go on in their place."""
        queries, ranks = has_ended[:, : self.beams].nonzero(as_tuple=True)
        answers = tokens[queries, ranks, 1:].tolist()
        for query, score, answer in zip(queries.tolist(), scores[queries, ranks].tolist(), answers, strict=True):
            self._open[query].add(score, answer)

    def _let_settled_leave(self) -> None:
        staying = [at for at, query in enumerate(self._open) if not query.is_settled]
        if len(staying) > (1 - LEAVE_AT) * len(self._open):
            return
        self._open = [self._open[at] for at in staying]
        self._tokens, self._scores = self._tokens[staying], self._scores[staying]
        self._rows.keep(torch.tensor(staying, device=self.ends.device))


@dataclass(slots=True)
class Ended:
    """The best ended answers to one query.

    Attributes:
        room: How many are kept.
        kept: Each with the mean log-probability of its tokens, the best first.
        is_settled: No open beam, at its present mean, beats the worst kept answer.
    """

    room: int
    kept: list[tuple[float, list[int]]] = field(default_factory=list)
    is_settled: bool = False

    def add(self, score: float, answer: list[int]) -> None:
        """Keep an answer if it is good enough and comes in time."""
        if not self.is_settled:
            self.kept = sorted([*self.kept, (score, answer)], key=lambda each: -each[0])[: self.room]

    def weigh(self, hope: float) -> None:
        """Settle if the best answer that goes on is worth no more than the last of the kept."""
        self.is_settled = self.is_settled or (len(self.kept) == self.room and hope <= self.kept[-1][0])


@dataclass(slots=True)
class Rows:
    """What the decoder reads besides what it wrote last: as many rows for each query, side by side.

    Attributes:
        states: The encoder's last, which decoders ask for though the cache has what they made of them.
        mask: 1 where a state is real.
        cache: Keys and values of the states, and of what a row has written.
        per_query: Rows a query: one until the first token is written.
    """

    states: Float[Tensor, "rows tokens dim"]
    mask: Int[Tensor, "rows tokens"]
    cache: EncoderDecoderCache
    per_query: int = 1

    @classmethod
    def read(cls, model: PreTrainedModel, inputs: TokenEmbeddings) -> "Rows":
        """Encode inputs, those of similar length together."""
        order = inputs.mask.sum(dim=1).argsort(descending=True)
        rows = [row for places in order.split(ENCODED_AT_ONCE) for row in _encoded(model, inputs, places=places)]
        states = pad_sequence(rows, batch_first=True)[order.argsort()]
        mask = inputs.mask[:, : states.shape[1]].long()
        return cls(states, mask, EncoderDecoderCache(DynamicCache(), DynamicCache()))

    def log_probabilities(self, model: PreTrainedModel, last: Int[Tensor, " rows"]) -> Float[Tensor, "rows words"]:
        """Read the token that each row has written last, and say how likely every next one is."""
        logits = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.states),
            attention_mask=self.mask,
            decoder_input_ids=last[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        return functional.log_softmax(logits[:, -1].float(), dim=-1)

    def follow(self, parents: Int[Tensor, "queries beams"]) -> None:
        """Let each row go on from what one of its query's rows has written."""
        queries = torch.arange(len(parents), device=parents.device)[:, None]
        rows = (queries * self.per_query + parents).flatten()
        if self.per_query == parents.shape[1]:
            self.cache.self_attention_cache.batch_select_indices(rows)
        else:
            self.per_query = parents.shape[1]
            self._take(rows)

    def keep(self, queries: Int[Tensor, " queries"]) -> None:
        """Let the rows of all other queries go."""
        beams = torch.arange(self.per_query, device=queries.device)
        self._take((queries[:, None] * self.per_query + beams).flatten())

    def _take(self, rows: Int[Tensor, " rows"]) -> None:
        self.states, self.mask = self.states[rows], self.mask[rows]
        self.cache.batch_select_indices(rows)


def _encoded(model: PreTrainedModel, inputs: TokenEmbeddings, *, places: Int[Tensor, " some"]) -> Tensor:
    """Encode some of the inputs, padded to the longest of these alone."""
    mask = inputs.mask[places]
    longest = int(mask.sum(dim=1).max())
    read = model.get_encoder()(inputs_embeds=inputs.embeds[places, :longest], attention_mask=mask[:, :longest].long())
    states: Tensor = read.last_hidden_state
    return states


def _of(tokens: Int[Tensor, "queries beams length"], beams: Int[Tensor, "queries chosen"]) -> Tensor:
    return tokens.gather(1, beams[:, :, None].expand(-1, -1, tokens.shape[-1]))
