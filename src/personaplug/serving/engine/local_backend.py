"""Answers batches with the language model in this process."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

import torch

from personaplug.backbone.tokens import pad_rows
from personaplug.plug.copying import side_by_side
from personaplug.plug.shared_adapter import each_its_own
from personaplug.serving.engine.backend import Backend
from personaplug.serving.engine.models import Models
from personaplug.serving.engine.request import Reply


class LocalBackend(Backend):
    """Reads and answers one batch after the other, on the thread that owns the models."""

    async def write(self, replies: Sequence[Reply]) -> None:
        """Answer a batch to its end."""
        await self._worker.do(lambda models: self._answer(models, replies))

    @torch.inference_mode()
    def _answer(self, models: Models, replies: Sequence[Reply]) -> None:
        if not (read := self._read(models, replies)):
            return
        begun = monotonic()
        for reply, reading in read:
            reply.begin(reading.opening)
        plugs = [models.by_name[reply.request.model].plug for reply, _ in read]
        backbone = plugs[0].backbone
        rows, masks = zip(*((reading.embeds, reading.mask) for _, reading in read), strict=True)
        inputs = pad_rows(rows, masks=masks, side=backbone.side)
        adapters = [
            plug.adapter if reply.request.with_persona else None for plug, (reply, _) in zip(plugs, read, strict=True)
        ]
        mixed = side_by_side([reading.mixed for _, reading in read])
        personal = [reading.has_vectors for _, reading in read]
        beside = partial(each_its_own, backbone.model, adapters, personal=personal)
        inputs = replace(inputs, beside=beside, mixed=mixed)
        backbone.write(inputs, [reply.writing for reply, _ in read])
        self._metrics.stage.labels("write").observe(monotonic() - begun)
        for reply, reading in read:
            if reply.writing.ending:  # else whoever asked has left
                self._count(reply, reading.opening, tokens=len(reply.writing.tokens))
