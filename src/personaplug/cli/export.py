"""``personaplug export``: what of a run other engines can hold."""

from pathlib import Path

import click


@click.command()
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of a trained run with an adapter.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the LoRA; new, or empty.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def export(run: Path, out: Path, as_json: bool) -> None:
    """Write the adapter of a run as a LoRA in PEFT's format, for vLLM and other engines.

    The adapter is what all users share. The persona beside it stays with the run and the store: personaplug serve
    --engine vllm sends it with each request. A run can be exported if inputs go through its adapter (--set
    adapter.reads=all). No other engine copies the user's own words.

    \b
    Example:
      personaplug export --run runs/qwen --out adapters/qwen
    """
    from personaplug.cli.screen import notes, print_json, printable
    from personaplug.plug.adapter_export import RunLora
    from personaplug.serving.engine.vllm_command import vllm_command

    lora = RunLora.of(run)
    lora.export(out)
    command = vllm_command(lora.model, loras={lora.name: out}, rank=lora.config.rank, maps=lora.maps, count=1)
    if as_json:
        print_json({"name": lora.name, "path": str(out), "model": lora.model, "command": command})
        return
    click.echo(f"{printable(str(out))}: {lora.name}, rank {lora.config.rank}, beside {printable(lora.model)}")
    if lora.run.copies:
        notes().print("Other engines answer without the user's own words, which this run copies.")
    notes().print(f"To start vLLM with it:\n{command}", soft_wrap=True, markup=False)
