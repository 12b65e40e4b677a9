"""A disk on which no more than a few bytes fit."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(room=64):
    """Let every write of this process past the first ``room`` bytes of a file fail."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
