"""The adapter of all users in PEFT's format, as other engines take a LoRA: PEFT, vLLM, llama.cpp after conversion.

The format: https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from personaplug.backbone.attention_maps import attention_projections
from personaplug.backbone.loading import in_folder, read_settings
from personaplug.backbone.outline import outline
from personaplug.embedder.checkpoint import load_weights, write_tensors
from personaplug.errors import ConfigError
from personaplug.files import scratch_folder, write_text
from personaplug.method_kinds import Prefixed
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import ADAPTER, CONFIG, check_is_run, check_is_trained, method_of
from personaplug.plug.shared_adapter import SharedAdapter

LORA_CONFIG, LORA_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class RunLora:
    """A run's adapter, as an engine that takes it as a LoRA is to know it.

    Attributes:
        folder: The run's.
        run: What the run is.
        config: How large the adapter is.
        name: Names these very weights, so that no engine answers with those of another training.
    """

    folder: Path
    run: RunConfig
    config: SharedAdapterConfig
    name: str

    @classmethod
    def of(cls, folder: Path) -> "RunLora":
        """Find the adapter of a trained run.

        Raises:
            ConfigError: It is a run of another kind, has none, or has one that is not the same for all that is read.
        """
        check_is_run(folder)
        if (held := method_of(folder)) not in get_args(Prefixed):
            raise ConfigError(f"{folder} holds a {held}", hint="give the run of a plug, or of tuned-lora")
        run = read_config(RunConfig, folder / CONFIG)
        config = run.shared_adapter
        if config is None:
            raise ConfigError(
                f"{folder} has no adapter of all users", hint="train one beside the persona: --set adapter.reads=all"
            )
        if config.reads == "answer" and not read_settings(run.backbone).is_encoder_decoder:
            raise ConfigError(
                f"the adapter of {folder} reads answers alone (adapter.reads=answer): a LoRA reads inputs too, so no"
                " engine can do as it does",
                hint="serve it with --engine local, or train anew with --set adapter.reads=all: a step takes 3.8 times"
                " as long, and answers on git-subject (dev) were 0.54 nats better",
            )
        if run.learns_apart:
            raise ConfigError(
                f"the adapter of {folder} has columns for personas alone (adapter.learns): a LoRA is the same for all",
                hint="train anew with --set adapter.learns=both",
            )
        check_is_trained(folder)
        return cls(folder, run, config, _name(folder, config))

    def export(self, out: Path) -> None:
        """Write it as a folder of its own, which appears whole.

        Raises:
            ConfigError: The folder holds something already, or the run's files do not fit.
            OSError: It cannot be written.
        """
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} holds something already", hint="give another --out, or remove it first")
        model = outline(read_settings(self.run.backbone))
        adapter = SharedAdapter(model, self.config)
        load_weights(adapter, self.folder / ADAPTER)
        out = out.absolute()  # the folder where one stands has a name, too
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(out) as scratch:
            made = scratch / "lora"
            made.mkdir()
            write_tensors(_tensors(adapter), made / LORA_WEIGHTS)
            write_text(made / LORA_CONFIG, json.dumps(self._described(adapter, model), indent=2) + "\n")
            made.rename(out)

    @property
    def model(self) -> str:
        """The language model by a name that other engines load it by: of a GGUF file, the folder of its copy."""
        model = in_folder(self.run.backbone).model
        return str(Path(model).resolve()) if Path(model).is_dir() else model

    @property
    def maps(self) -> list[str]:
        """The last parts of the names of the maps that it stands beside."""
        return _last_names(attention_projections(outline(read_settings(self.run.backbone)), only=self.config.places))

    def _described(self, adapter: SharedAdapter, model: PreTrainedModel) -> dict[str, object]:
        """Say what PEFT and vLLM read of an adapter."""
        alpha = self.config.alpha
        return {
            "peft_type": "LORA",
            "task_type": "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
            "base_model_name_or_path": self.model,
            "revision": in_folder(self.run.backbone).revision or None,
            "r": self.config.rank,
            "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,  # PEFT and vLLM call it an integer
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": _targets(adapter.names, model),
            "fan_in_fan_out": isinstance(model.get_submodule(adapter.names[0]), Conv1D),
            "inference_mode": True,
        }


def holds_lora(folder: Path) -> bool:
    """Tell whether a folder holds an adapter in PEFT's format."""
    return (folder / LORA_CONFIG).is_file()


def _name(folder: Path, config: SharedAdapterConfig) -> str:
    """Name an adapter by a hash of its weights, and of what they are multiplied by and stand beside."""
    described = f"{config.alpha} {config.places} ".encode()
    return f"personaplug-{hashlib.sha256(described + (folder / ADAPTER).read_bytes()).hexdigest()[:12]}"


def _tensors(adapter: SharedAdapter) -> dict[str, Tensor]:
    """Name the matrices as PEFT does."""
    parts = zip(adapter.names, adapter.first, adapter.second, strict=True)
    return {
        f"base_model.model.{name}.lora_{letter}.weight": matrix.detach()
        for name, first, second in parts
        for letter, matrix in (("A", first), ("B", second))
    }


def _targets(names: Sequence[str], model: PreTrainedModel) -> list[str]:
    """Name the maps by the last parts of their names, as is usual, where no other part of the model is called so."""
    last = _last_names(names)
    called_so = {name for name, _ in model.named_modules() if name.rpartition(".")[2] in last}
    return last if called_so == set(names) else list(names)


def _last_names(names: Iterable[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})
