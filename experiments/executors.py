"""Where the cells of a run are made: one seam, `concurrent.futures.Executor`, before engines that are well kept.

`local` is this process, or with several workers as many processes of joblib's loky; `ray` and `dask` are clusters of
their own making or at an address; `slurm` submits jobs by submitit. A run makes the cells; an executor only carries
them out, and never tries one again of its own accord, so that attempts are counted once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, get_args

from echelon.envs.errors import ConfigError, MissingExtraError

P = ParamSpec("P")
T = TypeVar("T")

ExecutorName = Literal["local", "ray", "dask", "slurm"]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
"""Cells run side by side, and sums that several threads share may differ in their last bits."""
POLL_SECONDS = 0.2
JOBS = "jobs"
"""The folder of the jobs of Slurm in that of a run."""


@contextmanager
def open_executor(
    name: str, *, workers: int, folder: Path, options: Mapping[str, Any] | None = None
) -> Iterator[Executor]:
    """An executor by its name; what is still at work at the end is stopped.

    `options` are the `address` of a cluster (ray, dask), or the parameters of submitit (slurm), such as `partition`;
    what submitit writes goes below `folder`. Raises `MissingExtraError` if the engine is not installed.
    """
    if name not in get_args(ExecutorName):
        raise ConfigError([f"executor must be one of {', '.join(get_args(ExecutorName))} (got {name!r})"])
    if workers < 1:
        raise ConfigError([f"workers must be at least 1 (got {workers})"])
    given = dict(options or {})
    made: Here | Processes | Ray | Dask | Jobs
    if name == "slurm":
        made = Jobs(folder / JOBS, given)
    else:
        address = given.pop("address", None) if name != "local" else None
        if given:
            raise ConfigError([f"executor {name} has no option {', '.join(given)}"])
        if name == "ray":
            made = Ray(workers, address)
        elif name == "dask":
            made = Dask(workers, address)
        else:
            made = Here() if workers == 1 else Processes(workers)
    try:
        yield made
    finally:
        made.stop()


def pin_threads() -> None:
    """Let this process, and those that it starts, compute with one thread each; before NumPy is imported it is sure."""
    os.environ.update(ONE_THREAD)


class Here(Executor):
    """This process: what is submitted is done at once."""

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it, and return what came of it."""
        future: Future[T] = Future()
        try:
            future.set_result(act(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Nothing is left at work."""


class Processes(Executor):
    """Worker processes, each behind a thread of its own: one that dies takes only its own work with it.

    In a single pool of processes the death of one breaks all the others' work, and nobody can tell whose fault it was.
    """

    def __init__(self, workers: int) -> None:
        # loky replaces a worker whose memory has grown, as it does when PyTorch is imported; nothing is lost by that.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        self._threads = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._pools: set[Any] = set()
        self._stopped = False

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it in the next process that is free."""
        return self._threads.submit(self._in_process, act, *args, **kwargs)

    def stop(self) -> None:
        """Kill what is still at work."""
        self._stopped = True
        for pool in list(self._pools):
            pool.shutdown(wait=False, kill_workers=True)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _in_process(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        pool = getattr(self._own, "pool", None)
        if pool is None:
            pool = self._own.pool = self._new_pool()
        try:
            result: T = pool.submit(act, *args, **kwargs).result()
        except BrokenProcessPool:
            self._own.pool = None
            self._pools.discard(pool)
            pool.shutdown(wait=False, kill_workers=True)
            raise
        return result

    def _new_pool(self) -> Any:
        from joblib.externals.loky.process_executor import ProcessPoolExecutor

        if self._stopped:
            raise RuntimeError("the executor has been stopped")
        pool = ProcessPoolExecutor(1, env=dict(ONE_THREAD), initializer=_begin_worker, initargs=(os.getpid(),))
        self._pools.add(pool)
        return pool


def _begin_worker(parent: int) -> None:
    """Leave Ctrl-C to the main process, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


class Ray(Executor):
    """A Ray cluster: that of an address, or one on this machine."""

    def __init__(self, workers: int, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray = _engine("ray", "ray")
        self._ray, self._started = ray, not ray.is_initialized()
        if self._started:
            own = {"num_cpus": workers, "include_dashboard": False} if address is None else {"address": address}
            ray.init(**own, log_to_driver=False, logging_level="ERROR")
        self._call = ray.remote(max_retries=0, num_cpus=1)(_called)

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it in a process of the cluster."""
        future: Future[T] = self._call.remote(act, args, kwargs).future()
        return future

    def stop(self) -> None:
        """Leave the cluster; one of our own ends."""
        if self._started:
            self._ray.shutdown()


def _called(act: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> T:
    return act(*args, **kwargs)


class Dask(Executor):
    """A Dask cluster: that of an address, or one on this machine."""

    def __init__(self, workers: int, address: str | None) -> None:
        distributed = _engine("distributed", "dask")
        import dask

        if address is None:
            # A worker that died is counted and tried again by the run, not by the cluster.
            with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
                self._cluster = distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
                )
        else:
            self._cluster = None
        self._client = distributed.Client(self._cluster if address is None else address)
        self._executor = self._client.get_executor(retries=0, pure=False)

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it in a process of the cluster."""
        future: Future[T] = self._executor.submit(act, *args, **kwargs)
        return future

    def stop(self) -> None:
        """Leave the cluster; one of our own ends."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


class Jobs(Executor):
    """Jobs of Slurm, one for each call."""

    def __init__(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        submitit = _engine("submitit", "slurm")
        own = dict(parameters)
        self._executor = submitit.AutoExecutor(folder=folder, cluster=own.pop("cluster", "slurm"))
        self._executor.update_parameters(cpus_per_task=1, **own)
        self._jobs: dict[Future[Any], Any] = {}
        self._watch: threading.Thread | None = None

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a job."""
        future: Future[T] = Future()
        self._jobs[future] = self._executor.submit(act, *args, **kwargs)
        if self._watch is None:
            self._watch = threading.Thread(target=self._poll, daemon=True)
            self._watch.start()
        return future

    def stop(self) -> None:
        """Cancel the jobs that are not done."""
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.cancel()

    def _poll(self) -> None:
        while True:
            for future, job in list(self._jobs.items()):
                if job.done():
                    self._jobs.pop(future, None)
                    _settle(future, job)
            time.sleep(POLL_SECONDS)


def _settle(future: Future[Any], job: Any) -> None:
    """Give a future what came of its job."""
    error = job.exception()
    if error is None:
        future.set_result(job.result())
    else:
        future.set_exception(error)


def _engine(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(
            f"the executor {extra!r} needs an extra that is not installed: pip install 'echelon[{extra}]'"
        ) from None
