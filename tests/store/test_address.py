import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaplug.errors import ConfigError
from personaplug.store.address import PostgresUrl, store_address

SECRETS = st.text("abcXYZ019-._~%", min_size=6).filter(
    lambda text: text not in "postgresql://user@host:5432/db?schema=shop"
)


@pytest.mark.parametrize("text", ["log.db", "/var/log.db", "postgres.db", "a/postgresql:/b", "http://x"])
def test_what_is_no_address_of_postgres_is_a_file(text):
    assert store_address(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "conninfo", "shown", "schema"),
    [
        ("postgresql://h/db", "postgresql://h/db", "postgresql://h/db", "personaplug"),
        ("postgres://u:pw@h:1/db", "postgres://u:pw@h:1/db", "postgresql://u@h:1/db", "personaplug"),
        ("postgresql://u@h/db?schema=shop", "postgresql://u@h/db", "postgresql://u@h/db?schema=shop", "shop"),
        (
            "postgresql:///db?host=/run&pass%77ord=p+w&schema=s",
            "postgresql:///db?host=/run&pass%77ord=p+w",
            "postgresql:///db?host=/run&schema=s",
            "s",
        ),
        ("postgresql://a:1,b:2/db", "postgresql://a:1,b:2/db", "postgresql://a:1,b:2/db", "personaplug"),
        ("postgresql://u@[::1]:5/db", "postgresql://u@[::1]:5/db", "postgresql://u@[::1]:5/db", "personaplug"),
    ],
)
def test_an_address_is_parted_into_what_libpq_reads_and_what_is_shown(text, conninfo, shown, schema):
    address = store_address(text)
    assert (address.conninfo, str(address), address.schema) == (conninfo, shown, schema)
    assert str(store_address(str(address))) == shown


@given(SECRETS)
def test_a_password_is_nowhere_to_be_seen(secret):
    for text in (f"postgresql://user:{secret}@host:5432/db", f"postgresql://user@host/db?sslpassword={secret}"):
        address = store_address(text)
        assert secret not in f"{address} {address!r} {address.name}"


@pytest.mark.parametrize("secret", ["pa/ss", "p@ss", "pa?ss", "pa#ss", "pa:ss", "pa ss/"])
def test_a_password_that_makes_the_address_unreadable_is_not_quoted(secret):
    with pytest.raises(ConfigError, match="no postgresql:// address") as caught:
        store_address(f"postgresql://user:{secret}@host/db")
    assert secret not in f"{caught.value} {caught.value.hint}"
    assert "PGPASSWORD" in caught.value.hint


@pytest.mark.parametrize("schema", ["Shop", "1a", "a-b", "a;drop", "", "a" * 64])
def test_a_schema_that_is_no_plain_name_is_refused(schema):
    with pytest.raises(ConfigError, match="no name"):
        PostgresUrl.read(f"postgresql://h/db?schema={schema}")


WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = sys.modules["psycopg_pool"] = None
from personaplug.cli.main import main
main(["persona", "list", "--store", "postgresql://ada:secret-word@127.0.0.1/db"])
"""


def test_without_the_extra_the_error_names_it():
    done = subprocess.run([sys.executable, "-c", WITHOUT_PSYCOPG], capture_output=True, text=True, check=False)
    assert "pip install 'personaplug[postgres]'" in done.stderr
    assert "secret-word" not in done.stderr
    assert done.returncode == 1
