"""One plug trained by many processes of a Ray cluster, as a job of Ray Train.

Ray Train starts the processes and tells them of each other, as ``torchrun`` does; what each of them then does is the
same. The run's folder is theirs: Ray keeps no checkpoints, and is not asked to start a lost process again.
"""

import os
from collections.abc import Mapping
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from ray.exceptions import RayActorError, RayError
from ray.train import FailureConfig, Result, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from personaplug.data.log_url import LogAddress
from personaplug.errors import ClusterError, DataError, PersonaPlugError, ProcessLostError
from personaplug.store.address import Address
from personaplug.training.checkpoints import METRICS, read_metrics, starting_point
from personaplug.training.processes import TIMEOUT
from personaplug.training.progress import Fitted, TrainingProgress
from personaplug.workflows.cluster import RayCluster
from personaplug.workflows.progress import SILENT, Advance, Progress, Silence
from personaplug.workflows.ray_connection import Room, connected, room_for
from personaplug.workflows.run_kinds import AnyRun
from personaplug.workflows.train import check_trains_together, train

_RESUME = "the same command with --resume goes on from the last checkpoint"
_SECONDS = 1.0
"""How often the screen is told how far the training is."""


def train_on_cluster(
    run: AnyRun,
    log: LogAddress,
    *,
    cluster: RayCluster,
    out: Path,
    store: Address | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Fitted:
    """Train a plug on a log in many processes of a cluster, and leave it in a folder.

    Log, store, folder and the folder where this process stands have the same paths on all machines.

    Args:
        run: What and how.
        log: Its training queries.
        cluster: Which machines, and how many processes.
        out: The folder.
        store: The index of the log; a tuned prompt without retrieved items needs none.
        resume: Go on where a training into this folder was stopped.
        progress: Shows how far it is, and hears of rows that cannot be read, when the training has ended.

    Raises:
        ConfigError: The run is not trained by many processes, or the folder holds a run that is not to be resumed.
        ClusterError: The cluster cannot be joined, has no room, or a process of it was lost or failed.
        PersonaPlugError: What a process says is wrong.
    """
    check_trains_together(run, processes=cluster.actors or "many")
    starting_point(out, resume=resume)  # each process asks again: that a folder is taken shows before a cluster starts
    arguments = {"log": log, "out": out, "store": store, "resume": resume}
    told = {"folder": Path.cwd(), "on_bad": progress.bad_row, "run": run, **arguments}
    with connected(cluster.address), TemporaryDirectory() as scratch:
        room = room_for(cluster.actors, each="process", option="--ray-workers")
        trainer = TorchTrainer(
            partial(_work, told),  # not as what Ray calls a configuration, which it may show
            torch_config=_network(room),
            scaling_config=_scaling(room),
            run_config=RunConfig(
                name="personaplug",
                storage_path=scratch,
                # By Ray's own way a job for which there is no room is tried for ever.
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0),
            ),
        )
        with progress.bar(f"train {run.method}") as advance:
            fitted, left_out = _watched(trainer, out / METRICS, advance, processes=room.actors)
            _tell(out / METRICS, advance, total=fitted.steps)
    for error in left_out:
        progress.bad_row(error)
    return fitted


def _network(room: Room) -> TorchConfig:
    """Have processes talk as those of a launcher do."""
    backend = "cpu:gloo,cuda:nccl" if room.gpus else "gloo"
    return TorchConfig(backend=backend, timeout_s=int(TIMEOUT.total_seconds()))


def _scaling(room: Room) -> ScalingConfig:
    resources = {"CPU": room.cpus} | ({"GPU": room.gpus} if room.gpus else {})
    return ScalingConfig(num_workers=room.actors, use_gpu=room.gpus > 0, resources_per_worker=resources)


class _Failed(Exception):  # noqa: N818 (never seen by who calls)
    """What a process met. Ray writes into its logs what this says: the error's kind alone, as texts may stand in it.

    Attributes:
        ours: The error, where it is one of ours.
    """

    ours: PersonaPlugError | None = None


def _work(told: Mapping[str, Any]) -> tuple[Fitted, list[DataError]]:
    """Train as one of the processes: Ray calls this in each of them.

    Returns:
        What came of it, and the rows that were left out.
    """
    try:
        return _trained(**told)
    except PersonaPlugError as error:
        failed = _Failed(type(error).__name__)
        failed.ours = error
    except Exception as error:  # whatever it is, Ray would log its words
        failed = _Failed(type(error).__name__)
    raise failed  # here, where what it stands for is not told with it


def _trained(folder: Path, on_bad: Any, **arguments: Any) -> tuple[Fitted, list[DataError]]:  # noqa: ANN401
    left_out: list[DataError] = []

    def hear(error: DataError) -> None:
        on_bad(error)
        left_out.append(error)

    os.chdir(folder)
    fitted = train(**arguments, progress=Silence(hear))
    assert isinstance(fitted, Fitted)
    return fitted, left_out


def _watched(
    trainer: TorchTrainer, metrics: Path, advance: Advance, *, processes: int
) -> tuple[Fitted, list[DataError]]:
    """Have a job done, and tell meanwhile what the first process logs in the run's folder.

    The job is waited for in another thread: in this one Ray would take the terminal's ^C for itself.
    """
    job: Future[Result] = Future()
    Thread(target=_do, args=(trainer, job), daemon=True).start()
    while not job.done():
        wait([job], timeout=_SECONDS)
        _tell(metrics, advance)
    try:
        fitted, left_out = job.result().return_value
    except (TrainingFailedError, RayError) as error:
        raise _failure(error, processes=processes) from None
    return fitted, left_out


def _do(trainer: TorchTrainer, job: "Future[Result]") -> None:
    try:
        job.set_result(trainer.fit())
    except BaseException as error:  # is raised where the job is waited for
        job.set_exception(error)


def _tell(metrics: Path, advance: Advance, *, total: int | None = None) -> None:
    latest: dict[str, Any] = {}
    for line in read_metrics(metrics):
        latest |= line
    if latest:
        step = latest["step"]
        summary = TrainingProgress(step, step, latest.get("loss"), latest.get("eval_loss")).summary
        advance(step, summary, total=total)


def _failure(error: BaseException, *, processes: int) -> PersonaPlugError:
    """Make the one error that a person sees of what all processes met."""
    met = _met(error)
    ours = [each.ours for each in met if isinstance(each, _Failed) and each.ours]
    for each in ours:
        if not isinstance(each, ProcessLostError):
            return each
    if ours or any(isinstance(each, RayActorError) for each in met):
        return ClusterError(str(ProcessLostError(processes)), hint=_RESUME)
    kinds = ", ".join(dict.fromkeys(str(each) if isinstance(each, _Failed) else type(each).__name__ for each in met))
    return ClusterError(f"the cluster cannot train: {kinds}", hint=_RESUME)


def _met(error: BaseException) -> list[BaseException]:
    """Unpack what processes, or the job itself, met out of what Ray Train puts around it."""
    if isinstance(error, WorkerGroupError):
        each_met = [getattr(each, "_base_exc", each) for each in error.worker_failures.values()]
        return [getattr(each, "health_check_failure", each) for each in each_met]
    return [getattr(error, "controller_failure", error)]
