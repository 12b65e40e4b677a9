"""The catalog says of a model what its file is."""

import hashlib

from personaplug.models.catalog import CATALOG


def test_the_real_model_is_the_one_of_the_catalog(smollm2):
    row = CATALOG["smollm2"]
    with smollm2.open("rb") as file:
        assert file.read(4) == b"GGUF"
        file.seek(0)
        assert hashlib.file_digest(file, "sha256").hexdigest() == row.sha256
        assert file.tell() == row.bytes


def test_a_row_is_found_by_its_own_name():
    assert all(row.name == name for name, row in CATALOG.items())
