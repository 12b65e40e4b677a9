"""An encoder for the command line's tests that needs no model."""

import torch

from tests.store.fakes import LAYOUT, encode


class FakeEncoder:
    dim = LAYOUT.dim

    def __init__(self, name):
        self.fingerprint = f"{name}@1"

    def encode(self, texts, *, batch_size=16):  # noqa: ARG002 (the encoder's signature)
        return torch.from_numpy(encode(texts))
