import pickle

import pytest

from personaplug.errors import ConfigError, DataError, MissingExtraError, ProcessLostError, RepeatedIdError

ERRORS = [
    ConfigError("no such key", hint="look again"),
    DataError("no row", path="log.jsonl", line=3, hint="mend it"),
    RepeatedIdError("ada", "1"),
    ProcessLostError(2),
    MissingExtraError("a cluster", extra="ray"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_reaches_another_process_as_it_is(error):
    sent = pickle.loads(pickle.dumps(error))
    assert (type(sent), str(sent), sent.hint) == (type(error), str(error), error.hint)
