"""An encoder for the command line's tests that needs no model."""

import torch
from torch import nn

from personaplug.embedder.encoder import TextEncoder
from tests.store.fakes import LAYOUT, encode


class FakeEncoder(TextEncoder):
    dim, fingerprint = LAYOUT.dim, ""

    def __init__(self, name):
        nn.Module.__init__(self)
        self.fingerprint = f"{name}@1"

    def encode(self, texts, *, batch_size=16):  # noqa: ARG002 (the encoder's signature)
        return torch.from_numpy(encode(texts))
