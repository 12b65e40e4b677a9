"""The model card of a run of one adapter a user: what it is, what it was made from, what it costs for each user."""

from personaplug.files import write_text
from personaplug.plug.run_folder import CARD
from personaplug.rivals.user_lora.cost import UserCost
from personaplug.rivals.user_lora.run import AdaptationConfig
from personaplug.rivals.user_lora.run_folder import UserLoraFolder

_CARD = """# user-lora for {task}

{description}

One LoRA adapter a user, trained on what is strictly earlier than that user's first {split} query{embargo}{whose}.

| | |
|---|---|
| task | {task} |
| queries | {split}, {history} history |
| language model (frozen) | {backbone} |
| adapters | rank {rank}, alpha {alpha:g}, {places}{dropout}; {reads} |
| retrieved items in each prompt | {items} |
| every user starts from | {start} |
| training | {epochs:g} epochs of the history, batches of {batch}, learning rate {rate:g}, seed {seed}, {precision} |
| users | {users:,}, and {without:,} without history, who get what all start from |
| history items a user | {history_items:.1f} |
| **seconds a user** | {seconds:.2f} (median {median:.2f}, most {longest:.2f}; all {all_seconds:,.0f}) |
| seconds of adapting to the task | {adaptation:,.0f} |
| **MB a user** | {size:.3f} (all {all_size:,.1f}) |
| machine | {machine} |

{prompt}
Every user starts from the weights in `start.safetensors`.{base} An adapter is a folder below `adapters/`, in PEFT's own
format, named by a hash of the user's id; `record.json` in it says whose it is. Deleting the folder forgets the user.
{elsewhere}The costs are in `cost.json`, too.
"""

_PLACES = {
    "attention": "every linear map of the attention",
    "query-value": "the attention's maps of queries and values",
}

_READS = {"answer": "inputs do not go through them", "all": "inputs go through them too"}

_HERE_ALONE = "Other engines let inputs through an adapter too, so these answer as they were trained here alone.\n"

_BASE = " What stays under all adapters, and must be loaded with each, is in `base.safetensors`."

_STRANGER = "; but, as a control, on another user's items, as many and as early, in that user's place"


def write_user_lora_card(run: UserLoraFolder, cost: UserCost, *, prompt: str) -> None:
    """Write ``README.md`` into a run folder; ``prompt`` is the section on how the language model was asked."""
    config, days = run.config, run.task.history.embargo_days
    text = _CARD.format(
        task=run.task.name,
        description=run.task.description,
        split=config.split,
        embargo=f", less an embargo of {days:g} days" if days else "",
        whose="" if config.history == "own" else _STRANGER,
        history="the user's own" if config.history == "own" else "a stranger's",
        backbone=config.backbone.model,
        rank=config.adapter.rank,
        alpha=config.adapter.alpha,
        places=_PLACES[config.adapter.places],
        reads=_READS[config.adapter.reads],
        elsewhere=_HERE_ALONE if config.adapter.reads == "answer" else "",
        dropout=f", dropout {config.adapter.dropout:g}" if config.adapter.dropout else "",
        items=f"{config.items.k}, by {config.items.retriever}" if config.items.k else "none",
        start=_start(config.adaptation),
        base=_BASE if config.rests_on_task else "",
        epochs=config.training.epochs,
        batch=config.training.batch_size,
        rate=config.training.learning_rate,
        seed=config.training.seed,
        precision=config.training.precision,
        users=cost.users,
        without=cost.without_history,
        history_items=cost.history_items,
        seconds=cost.seconds_a_user,
        median=cost.median_seconds_a_user,
        longest=cost.longest_seconds,
        all_seconds=cost.seconds - cost.adaptation_seconds,
        adaptation=cost.adaptation_seconds,
        size=cost.bytes_a_user / 1e6,
        all_size=cost.bytes / 1e6,
        machine=cost.machine,
        prompt=prompt,
    )
    write_text(run.path / CARD, text)


def _start(adaptation: AdaptationConfig) -> str:
    if not adaptation.epochs:
        return "an untrained adapter"
    queries = f"{adaptation.queries:,}" if adaptation.queries else "all"
    rests = adaptation.use == "base"
    what = "an untrained adapter, over a frozen one of everybody" if rests else "an adapter of everybody"
    return (
        f"{what}: {adaptation.epochs:g} epochs of {queries} training queries, batches of {adaptation.batch_size}, "
        f"learning rate {adaptation.learning_rate:g}"
    )
