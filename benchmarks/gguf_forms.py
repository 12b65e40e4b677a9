"""Measure ways to load one GGUF file: load, memory, a training step, answers; each turn in a process of its own.

``python -m benchmarks.gguf_forms FILE.gguf --turns 3``. The ways take turns, so that other work falls on all of them;
each prints a line of JSON, and in the end there are medians.

- unpacked: transformers unpacks the weights of the file to float32.
- packed: transformers is asked to leave them packed.
- copy: personaplug's converted copy in the cache (made before the clock runs).
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import click
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from personaplug.backbone.gguf_copy import copy_of

FORMS = ("unpacked", "packed", "copy")
BATCH, INPUT, ANSWER, VECTORS = 8, 96, 32, 5


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--turns", type=int, default=3, show_default=True, help="Of each way.")
@click.option("--form", type=click.Choice(FORMS), help="Measure one way, once, in this process.")
@click.option("--load-only", is_flag=True, help="Leave out training steps and answers.")
def main(file: Path, turns: int, form: str | None, load_only: bool) -> None:
    """Measure, or let processes measure in turn."""
    if form:
        click.echo(json.dumps(_measure(file, form, load_only=load_only)))
        return
    copy_of(file)
    found: dict[str, list[dict[str, float]]] = {each: [] for each in FORMS}
    for _ in range(turns):
        for each in FORMS:
            command = [sys.executable, "-m", "benchmarks.gguf_forms", str(file), "--form", each]
            command += ["--load-only"] if load_only else []
            output = subprocess.run(command, check=True, capture_output=True, text=True)
            found[each].append(json.loads(output.stdout))
            click.echo(f"{each}: {output.stdout.strip()}")
    for each, rows in found.items():
        click.echo(f"{each}, median: {json.dumps({name: median(row[name] for row in rows) for name in rows[0]})}")


def _measure(file: Path, form: str, *, load_only: bool) -> dict[str, float]:
    disable_progress_bar()
    set_verbosity_error()
    before, cpu, began = _peak(), _cpu(), perf_counter()
    model = _load(file, form)
    row = {"load_s": perf_counter() - began, "load_cpu_s": _cpu() - cpu, "load_peak_mb": _peak() - before}
    row["weights_mb"] = sum(each.numel() * each.element_size() for each in model.parameters()) / 1e6
    if not load_only:
        row |= _work(model)
    return {name: round(value, 2) for name, value in row.items()}


def _load(file: Path, form: str) -> PreTrainedModel:
    if form == "copy":
        folder = copy_of(file)
        AutoTokenizer.from_pretrained(folder)
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    else:
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        packed = GgufConfig(dequantize=form == "unpacked")
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, quantization_config=packed
        )
    return model.eval().requires_grad_(requires_grad=False)


def _work(model: PreTrainedModel) -> dict[str, float]:
    ids = torch.randint(10, 1000, (BATCH, INPUT + ANSWER), generator=torch.Generator().manual_seed(0))
    embeds = model.get_input_embeddings()(ids)
    vectors = torch.zeros(VECTORS, embeds.shape[-1], requires_grad=True)

    def step() -> None:
        inputs = torch.cat([vectors.expand(BATCH, -1, -1), embeds], dim=1)
        logits = model(inputs_embeds=inputs, logits_to_keep=ANSWER + 1, use_cache=False).logits[:, :-1]
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, INPUT:].flatten()).backward()

    def answer(rows: int) -> None:
        model.generate(
            inputs_embeds=embeds[:rows, :INPUT], attention_mask=torch.ones(rows, INPUT, dtype=torch.long),
            max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False, pad_token_id=0,
        )  # fmt: skip

    return {
        "step_cpu_s": _cpu_seconds(step),
        "answers_a_cpu_s_by_1": 1 / _cpu_seconds(lambda: answer(1)),
        "answers_a_cpu_s_by_8": 8 / _cpu_seconds(lambda: answer(8)),
    }


def _cpu_seconds(work: Callable[[], object]) -> float:
    """Time some work by the processor, to which it does not matter who else wants it."""
    work()
    took = []
    for _ in range(3):
        began = process_time()
        work()
        took.append(process_time() - began)
    return median(took)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
