"""The model card of a run: what it is, what it was made from, how good it is."""

from pathlib import Path

from personaplug.files import write_text
from personaplug.plug.run import RunConfig
from personaplug.plug.run_folder import ADAPTER, CARD, COPY_HEAD, WEIGHTS
from personaplug.tasks.task import Task
from personaplug.training.progress import Fitted, InputsRead

_CARD = """# {title}

{description}

| | |
|---|---|
| method | {method} |
| task | {task} |
| language model (frozen) | {backbone} |
| encoder of histories (frozen) | {encoder} |
| vectors {place} the input | {vectors} |
| adapter of all users | {adapter} |
| the user's own words | {copying} |
| the user's items in the prompt | {items} |
| training queries | {queries:,} |
| steps | {steps:,} of {batch} queries{processes}, seed {seed}, the language model in {precision} |
| inputs read once, before the steps | {inputs} |
| loss on dev | {dev} |

{prompt}
Trained weights only, in {files}; `config.toml` and `task.toml` say how to build the rest. Use it:

```python
from personaplug import PersonaPlug, PersonaStore

plug = PersonaPlug.from_pretrained("{folder}", store=PersonaStore.open("STORE.db"))
plug.generate("...", user="USER")
```
"""


def write_card(folder: Path, run: RunConfig, *, task: Task, fitted: Fitted, queries: int, prompt: str) -> None:
    """Write ``README.md`` into a run folder; ``prompt`` is the section on how the language model was asked."""
    dev = "no dev queries" if fitted.dev_loss is None else f"{fitted.dev_loss:.4f} nats an answer token"
    text = _CARD.format(
        title=f"{run.method} for {task.name}",
        description=task.description,
        method=run.method,
        task=task.name,
        backbone=run.backbone.model,
        place=run.embedder.place,
        encoder=run.encoder.model,
        vectors=_vectors(run),
        adapter=_adapter(run),
        copying=f"copied, found by runs of up to {run.copying.order} tokens" if run.copies else "not copied",
        items=f"{run.items.k}, chosen by {run.retriever}" if run.retriever else "none",
        queries=queries,
        steps=fitted.steps,
        batch=run.training.queries_a_step(run.training.processes),
        processes=f" in {run.training.processes} processes" if run.training.processes > 1 else "",
        seed=run.training.seed,
        precision=fitted.precision,
        inputs=_inputs(fitted.inputs_read, epochs=run.training.epochs),
        dev=dev,
        files=" and ".join(f"`{name}`" for name in _files(run)),
        folder=folder,
        prompt=prompt,
    )
    write_text(folder / CARD, text)


def _files(run: RunConfig) -> list[str]:
    parts = {WEIGHTS: True, ADAPTER: run.shared_adapter is not None, COPY_HEAD: run.copies}
    return [name for name, is_there in parts.items() if is_there]


def _vectors(run: RunConfig) -> str:
    if run.has_persona:
        instructions = f"{run.embedder.instructions} for the task, " if run.embedder.instructions else ""
        return f"{instructions}{run.embedder.persona_vectors} for the user"
    return f"{run.vectors}, the same for every user" if run.vectors else "none"


def _adapter(run: RunConfig) -> str:
    adapter = run.shared_adapter
    if adapter is None:
        return "none"
    reads = "answers" if adapter.reads == "answer" else "inputs and answers"
    more = f" and {adapter.rank} more beside a persona" if run.learns_apart else ""
    return f"rank {adapter.rank}{more}, beside {adapter.places}, reads {reads}"


def _inputs(read: InputsRead, *, epochs: float) -> str:
    """Say which inputs were kept, and what was saved: their reading at each draw but one, or at all."""
    if not read.inputs:
        return "none"
    kept = f"{read.inputs:,} of {read.queries:,} queries, {read.bytes / 1e6:,.0f} MB kept"
    if read.was_read_before:
        return f"{kept}, read by a training before this one in {read.seconds:.0f} s"
    return f"{kept}, {read.seconds:.0f} s in place of {read.seconds * epochs:.0f} s"
