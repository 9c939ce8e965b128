"""Make the launcher that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from eden_bench.execution.inputs import Inputs
from eden_bench.execution.launchers.devices import Processes, visible_gpus
from eden_bench.execution.launchers.launcher import Launch, Launcher
from eden_bench.execution.launchers.local import Local
from eden_bench.execution.launchers.pool import Crew, Pool
from eden_bench.execution.launchers.ray_cluster import Actors
from eden_bench.execution.launchers.worker import Setup, passed_on
from eden_bench.settings import available_cores


def make_launcher(
    launch: Launch, inputs: Inputs, *, token: str, plugins: tuple[str, ...], say: Callable[[str], None]
) -> Launcher:
    """Make a launcher and start its workers.

    Args:
        launch: what was asked for.
        inputs: of the driver.
        token: lock that the driver holds in OUT.
        plugins: plugin files that were loaded.
        say: is told what is remarkable.

    Raises:
        UsageError: there are no such devices, or no such cluster.
    """
    if launch.launcher == "local":
        return Local(inputs)
    kind = inputs.device.partition(":")[0]
    setup = Setup(
        settings=replace(inputs.settings, device=kind),
        token=token,
        plugins=tuple(str(Path(plugin).absolute()) for plugin in plugins),
        folder=str(Path.cwd()),
        memory_share=1 / launch.per_gpu,
        variables=passed_on(),
    )
    crew = Actors(setup, launch, say) if launch.launcher == "ray" else _processes(setup, launch, say)
    return Pool(crew, retries=launch.retries, say=say)


def _processes(setup: Setup, launch: Launch, say: Callable[[str], None]) -> Crew:
    if setup.settings.device == "cuda":
        gpus = visible_gpus(launch.devices, launch.per_gpu)
        return Processes(setup, gpus, len(gpus))
    threads, cores = setup.settings.threads, available_cores()
    workers = launch.workers or max(1, cores // threads)
    if workers * threads > cores:
        say(
            f"{workers} workers of {threads} threads on {cores} cores stand in each other's way: --threads is fewer "
            "threads each (and other cells, since results depend on it)"
        )
    return Processes(setup, (), workers)
