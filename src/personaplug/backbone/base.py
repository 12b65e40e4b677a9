"""A frozen Hugging Face language model behind a few verbs, for both families alike.

What the two families, encoder-decoder and decoder-only, do differently is in ``encoder_decoder.py`` and
``decoder_only.py``; nothing outside this folder knows which one it talks to.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
)

from personaplug.backbone.generation_config import GenerationConfig as GenerationConfig
from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.backbone.mixing import MixedIn
from personaplug.backbone.positions import answer_positions, input_positions
from personaplug.backbone.row_generation import RowGeneration, RowStopping, streamed
from personaplug.backbone.sampling import RowSampling
from personaplug.backbone.tokens import Side, TokenEmbeddings, pad_rows
from personaplug.embedder.text_reader import TextReader

IGNORED = -100
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class AnswerScores:
    """How likely each given answer is.

    Attributes:
        log_likelihood: Sum of the log-probabilities of the answer's tokens, its end included, in nats.
        tokens: Number of those tokens.
    """

    log_likelihood: Float[Tensor, " batch"]
    tokens: Int[Tensor, " batch"]


class Backbone(ABC):
    """A frozen language model.

    Args:
        model: The model; its weights are frozen and its dropout switched off here.
        tokenizer: Reads inputs and writes answers; users' words are never commands to the model.
        use_chat_template: Wrap inputs as a user's turn, for instruction-tuned models.

    Attributes:
        side: Where the family wants padding.
        separator: What stands between an input and its answer, for models that read both as one text.
        kept: Inputs that training steps find read already; None where each step reads its own.
        has_own_rows: Whether each row of a batch goes through an adapter of its own, so that none may leave its place.
    """

    side: Side
    separator: str = ""
    kept: KeptInputs | None = None
    has_own_rows: bool = False

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        use_chat_template: bool = False,
    ) -> None:
        self.model = model.eval().requires_grad_(requires_grad=False)
        self.tokenizer = tokenizer
        self.reader = TextReader(tokenizer)
        self.use_chat_template = use_chat_template
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token

    @property
    def dim(self) -> int:
        """Dimension of the token embeddings."""
        return int(self._table.weight.shape[1])

    @property
    def device(self) -> torch.device:
        """Where the model stands."""
        return self._table.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the embeddings."""
        return self._table.weight.dtype

    @property
    def embedding_norm(self) -> float:
        """Mean length of the token embeddings: what a vector among them should be like."""
        every_token = torch.arange(self._table.num_embeddings, device=self.device)
        lengths = [self._table(tokens).float().norm(dim=-1) for tokens in every_token.split(8192)]
        return float(torch.cat(lengths).mean())

    @property
    def closing_tokens(self) -> int:
        """Count the tokens that end every input, such as a chat's header of the answer; at least one, its last."""
        return max(1, len(self._frame[1]))

    def look_up(self, tokens: Int[Tensor, " tokens"]) -> Float[Tensor, "tokens llm_dim"]:
        """Give the embeddings of tokens, as the model reads them."""
        embeddings: Tensor = self._table(tokens)
        return embeddings

    def positions(self, *, answer_tokens: int) -> int | None:
        """Say how many tokens, or vectors in their place, an input may have; None for any number."""
        return input_positions(self.model.config, answer_tokens=answer_tokens)

    def embed(self, texts: Sequence[str], *, max_tokens: int = 256) -> TokenEmbeddings:
        """Look up the embeddings of inputs; a longer input loses its last words, never a chat's closing tokens."""
        ids = self._input_ids(texts, max_tokens=max_tokens)
        rows = [self._table(torch.tensor(row, dtype=torch.long, device=self.device)) for row in ids]
        return pad_rows(rows, side=self.side, lead=len(self._frame[0]))

    def loss(self, inputs: TokenEmbeddings, targets: Sequence[str], *, max_tokens: int = 128) -> Float[Tensor, ""]:
        """Give the mean negative log-likelihood of an answer token, in nats; differentiable in the inputs."""
        scores = self.score(inputs, targets, max_tokens=max_tokens)
        return -scores.log_likelihood.sum() / scores.tokens.sum()

    def keep(self, inputs: TokenEmbeddings) -> None:  # noqa: B027 (most families do nothing)
        """Keep what can be known of inputs before any vector stands beside them: nothing, where vectors change it."""

    def read_ahead(
        self,
        inputs: TokenEmbeddings,
        config: GenerationConfig | None = None,  # noqa: ARG002 (as of who does)
    ) -> TokenEmbeddings:
        """Read inputs once for all that will be asked of them, as far as can be: not at all, in most families."""
        return inputs

    def score(self, inputs: TokenEmbeddings, targets: Sequence[str], *, max_tokens: int = 128) -> AnswerScores:
        """Give the log-likelihood of each answer; longer answers are cut at ``max_tokens``."""
        labels = self._labels(targets, max_tokens=max_tokens)
        logits = self._answer_logits(inputs, labels).float()
        lost = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
        is_answer, each = labels != IGNORED, -lost.view_as(labels)
        if inputs.mixed:
            each = torch.where(is_answer, inputs.mixed.scored(each, labels), 0.0)
        return AnswerScores(each.sum(dim=1), is_answer.sum(dim=1))

    @torch.inference_mode()
    def generate(self, inputs: TokenEmbeddings, config: GenerationConfig | None = None) -> list[str]:
        """Answer a batch of inputs, each as without the others: sampling draws a row by the seed alone."""
        config = config or GenerationConfig()
        if config.strategy == "beam":
            with self._reading(inputs) as model:
                ids = model.generate(
                    **self._decoding(inputs, longest=config.max_new_tokens, beams=config.beams),
                    logits_processor=LogitsProcessorList(self._mixed_in(inputs)),
                )
            return [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]
        writings = [RowGeneration(config) for _ in inputs.embeds]
        self.write(inputs, writings)
        return [writing.text for writing in writings]

    def stream(self, inputs: TokenEmbeddings, config: GenerationConfig | None = None) -> Iterator[str]:
        """Answer one input, piece by piece; the pieces joined and stripped are the answer. Not for beams.

        Raises:
            ValueError: Beam search was asked for, or more than one input.
        """
        config = config or GenerationConfig()
        if config.strategy == "beam" or len(inputs.embeds) != 1:
            raise ValueError("streaming takes one input, and greedy decoding or sampling")
        yield from streamed(config, lambda writing: self.write(inputs, [writing]))

    @torch.inference_mode()
    def write(self, inputs: TokenEmbeddings, writings: Sequence[RowGeneration]) -> None:
        """Answer a batch of inputs, each into its own writing, token by token, until all have ended."""
        configs = [writing.config for writing in writings]
        with self._reading(inputs) as model:
            model.generate(
                **self._decoding(inputs, longest=max(config.max_new_tokens for config in configs)),
                logits_processor=LogitsProcessorList([*self._mixed_in(inputs), RowSampling(configs)]),
                stopping_criteria=StoppingCriteriaList([RowStopping(writings, ends=self._ends, decode=self._decode)]),
            )

    @contextmanager
    def _reading(self, inputs: TokenEmbeddings, *, answer_tokens: int = 0) -> Iterator[Any]:
        """Give the model that is to read inputs: the language model, or a copy that stands in for it."""
        with inputs.beside(answer_tokens) as model:
            yield model or self.model

    def _mixed_in(self, inputs: TokenEmbeddings) -> list[MixedIn]:
        start = int(self.model.config.is_encoder_decoder)
        return [MixedIn(inputs.mixed, start=start)] if inputs.mixed else []

    def longest_answer(self, *, input_tokens: int) -> int | None:
        """Say how many tokens an answer to so long an input may have; None for any number."""
        return answer_positions(self.model.config, input_tokens=input_tokens)

    def cut(self, text: str, *, max_tokens: int) -> str:
        """Give the beginning of a text that :meth:`embed` reads."""
        room = self._room(max_tokens)
        ends = self.reader.ends(text)
        return text if len(ends) < room else text[: ends[room - 1]]

    def framed(self, text: str) -> str:
        """Write an input as :meth:`embed` reads it, with the tokens that stand around it and without cutting."""
        before, after = self._frame
        return str(self.tokenizer.decode([*before, *self.reader.ids([text])[0], *after], skip_special_tokens=False))

    def count_tokens(self, text: str) -> int:
        """Count an input's tokens as :meth:`embed` makes them, without cutting."""
        before, after = self._frame
        return len(before) + self.count_text_tokens(text) + len(after)

    def count_text_tokens(self, text: str) -> int:
        """Count a text's own tokens, without those that stand around every input."""
        return len(self.reader.ids([text])[0])

    def count_input_tokens(self, texts: Sequence[str], *, max_tokens: int = 256) -> list[int]:
        """Count the tokens that :meth:`embed` makes of each input."""
        return [len(row) for row in self._input_ids(texts, max_tokens=max_tokens)]

    def count_answer_tokens(self, targets: Sequence[str], *, max_tokens: int = 128) -> list[int]:
        """Count the tokens that :meth:`score` scores in each answer, its end included."""
        return [len(row) for row in self._answer_ids(targets, max_tokens=max_tokens)]

    @abstractmethod
    def _answer_logits(self, inputs: TokenEmbeddings, labels: Tensor) -> Tensor:
        """Give logits ``[batch, answer tokens, vocabulary]`` for right-padded labels ``[batch, answer tokens]``."""

    @property
    def _table(self) -> nn.Embedding:
        table = self.model.get_input_embeddings()
        assert isinstance(table, nn.Module)
        return table  # type: ignore[return-value]

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """Find the tokens that stand before and after every input: start and end tokens, or a chat's turn."""
        if self.use_chat_template:
            header, footer = self._chat({"role": "user", "content": _MARK}, is_asked=True).split(_MARK)
            return self._ids(header), self._ids(footer)
        before, after = self.reader.frame
        return before, after + self._ids(self.separator)

    @cached_property
    def end(self) -> int:
        """Find the token that ends an answer: a chat's is the command that its template puts behind one, if it does.

        It may be another than the tokenizer's own, as Gemma's ``<end_of_turn>`` is.
        """
        end: int = self.tokenizer.eos_token_id
        if not self.use_chat_template:
            return end
        chat = self._chat({"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}, is_asked=False)
        behind = self._ids(chat.rpartition(_MARK)[2].strip()) if _MARK in chat else []
        return behind[0] if behind and behind[0] in self.tokenizer.added_tokens_decoder else end

    def _chat(self, *messages: dict[str, str], is_asked: bool) -> str:
        # Most templates know of no thinking, and take no notice of the last word.
        text = self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=is_asked, enable_thinking=False
        )
        return str(text)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    @property
    def _ends(self) -> set[int]:
        """Find the tokens that end an answer; a model may have several."""
        ends = self.model.generation_config.eos_token_id
        own = set(ends) if isinstance(ends, list) else {ends} - {None}
        return own | {self.end} if self.use_chat_template else own

    def _room(self, max_tokens: int) -> int:
        """Count the tokens of an input's own that there is room for, at least one."""
        before, after = self._frame
        return max(1, max_tokens - len(before) - len(after))

    def _input_ids(self, texts: Sequence[str], *, max_tokens: int) -> list[list[int]]:
        before, after = self._frame
        return [[*before, *row, *after] for row in self.reader.ids(texts, most=self._room(max_tokens))]

    def _labels(self, targets: Sequence[str], *, max_tokens: int) -> Tensor:
        """Tokenize answers and pad them with :data:`IGNORED`."""
        rows = [torch.tensor(row, device=self.device) for row in self._answer_ids(targets, max_tokens=max_tokens)]
        return pad_sequence(rows, batch_first=True, padding_value=IGNORED)

    def _answer_ids(self, targets: Sequence[str], *, max_tokens: int) -> list[list[int]]:
        ids = self.reader.ids(targets, most=max_tokens - 1)
        return [[*row, self.end] for row in ids]

    def _decoding(self, inputs: TokenEmbeddings, *, longest: int, beams: int = 1) -> dict[str, object]:
        """Say to transformers how to decode; what is drawn, is drawn by :class:`RowSampling`."""
        return {
            "inputs_embeds": inputs.embeds,
            "attention_mask": inputs.mask.long(),
            "max_new_tokens": longest,
            "num_beams": beams,
            "do_sample": False,
            "repetition_penalty": 1.0,  # some models' own settings have another: an answer is decoded as it was asked
            "pad_token_id": self.tokenizer.pad_token_id,
            "eos_token_id": sorted(self._ends) or None,
        }
