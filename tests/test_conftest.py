"""What conftest.py promises to every other test."""

import os
import socket

import pytest
import torch
from hypothesis import settings
from jaxtyping import TypeCheckError

from personaplug.embedder.history import History


def test_no_test_reaches_another_machine():
    with socket.socket() as outward, pytest.raises(pytest.fail.Exception, match=r"192\.0\.2\.1"):
        outward.connect(("192.0.2.1", 80))  # of the addresses kept for documentation, RFC 5737
    with pytest.raises(pytest.fail.Exception, match=r"example\.org"):
        socket.create_connection(("example.org", 80))


def test_a_test_may_speak_to_itself():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_shapes_that_disagree_with_their_signature_are_errors():
    with pytest.raises(TypeCheckError):
        History(vectors=torch.zeros(3, 2, 4), ages=torch.zeros(2))


@pytest.mark.skipif("HYPOTHESIS_PROFILE" in os.environ, reason="another profile was asked for")
def test_hypotheses_draw_the_same_examples_every_time():
    assert settings().derandomize
