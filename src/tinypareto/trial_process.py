"""One trial in a process of its own, so that one that crashes or runs out of memory fails alone."""

import contextlib
import errno
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from tinypareto.allocator import allocating_fast
from tinypareto.errors import TinyParetoError
from tinypareto.evaluation import evaluate
from tinypareto.evaluation_record import Evaluation
from tinypareto.experiment import Experiment, Parameters, load_experiment
from tinypareto.stop_rule import StopRule
from tinypareto.threads import use_one_thread

DISK_FULL = "the disk is full"  # how the reason of a trial begins that failed for want of space


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """Everything that a trial's process needs to know.

    ``experiment`` is a reference for `load_experiment` or an experiment that can be pickled.
    """

    number: int
    parameters: Parameters
    seed: int
    experiment: str | Experiment
    data_path: Path | None
    folder: Path  # the finished trial's home
    harvest: tuple[int, ...] = ()  # steps of the training's path to be measured too
    device: str = "auto"
    stop: StopRule | None = None  # when the training ends before its last epoch


class TrialProcess:
    """A running trial. Its folder appears whole, at its end, or not at all."""

    def __init__(self, task: TrialTask) -> None:
        self.task = task
        self._work = task.folder.with_name(f".{task.folder.name}-{os.getpid()}")
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.parent.mkdir(parents=True, exist_ok=True)
        context = process_context()
        self._receiver, sender = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_run, args=(task, self._work, sender), name=f"trial-{task.number}"
        )
        self._process.start()
        sender.close()  # so that the child's end is the only one, and its death ends our wait

    def result(self) -> Evaluation | str:
        """Wait for the end; return what was measured, or in one line why the trial failed."""
        try:
            outcome: Evaluation | str = self._receiver.recv()
        except EOFError:
            self._process.join()
            outcome = death_of(self._process.exitcode, "the trial's process")
        self._process.join()
        self._receiver.close()
        shutil.rmtree(self.task.folder, ignore_errors=True)
        if self._work.exists():
            self._work.rename(self.task.folder)
        return outcome

    def stop(self) -> None:
        """Kill the process and drop what it wrote."""
        self._process.kill()
        self._process.join()
        self._receiver.close()
        shutil.rmtree(self._work, ignore_errors=True)

    @staticmethod
    def wait_for_any(processes: "Sequence[TrialProcess]", timeout: float) -> "list[TrialProcess]":
        """Return those that have ended, after ``timeout`` seconds at most."""
        ready = set(wait([process._receiver for process in processes], timeout))
        return [process for process in processes if process._receiver in ready]


def remove_unfinished(trials_folder: Path) -> None:
    """Drop the work of trials whose search was killed; call it while no search runs there."""
    for path in trials_folder.glob(".*-*"):
        shutil.rmtree(path, ignore_errors=True)


def process_context() -> BaseContext:
    """Return how processes are started that train, or start trainings."""
    # A fork server that has torch loaded starts a trial in milliseconds. A plain fork would copy the
    # locks of this process's threads in whatever state they are.
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tinypareto.trial_preload"])
    with allocating_fast():
        multiprocessing.forkserver.ensure_running()
    return context


def _run(task: TrialTask, work: Path, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=die_with_parent, daemon=True).start()
    use_one_thread()
    try:
        work.mkdir(exist_ok=True)  # not its parents: who stopped this trial may have removed them by now
        with open(work / "log.txt", "w", encoding="utf-8", buffering=1) as log:
            os.dup2(log.fileno(), 1)  # compilers and onnxruntime write past sys.stdout
            os.dup2(log.fileno(), 2)
            sys.stdout = sys.stderr = log
            outcome = _evaluate(task, work)
    except OSError as error:
        outcome = _reason(error)
    sender.send(outcome)
    sender.close()


def _evaluate(task: TrialTask, work: Path) -> Evaluation | str:
    try:
        experiment = task.experiment
        if isinstance(experiment, str):
            experiment = load_experiment(experiment)
        data = experiment.read_data(task.data_path)
        return evaluate(
            experiment, data, task.parameters, task.seed, work, task.harvest, task.stop, task.device
        )
    except (Exception, SystemExit) as error:
        with contextlib.suppress(OSError):  # the disk may be what is wrong
            if not isinstance(error, TinyParetoError):
                traceback.print_exc()
            print(_reason(error))
        return _reason(error)


def _reason(error: BaseException) -> str:
    if isinstance(error, TinyParetoError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return "out of memory; lower batch_size or the network's width, or run fewer --jobs."
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{DISK_FULL} ({error}); free some space and run the search again."
    return f"{type(error).__name__}: {error}; the traceback is in the trial's log.txt."


def death_of(exit_code: int | None, who: str) -> str:
    """Return in one line how a process ended that left without a result."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = "probably out of memory" if name == "SIGKILL" else "a crash in compiled code"
        return f"{who} was ended by {name} ({hint}); its log.txt ends where it happened."
    return f"{who} left with exit code {exit_code} and no result; see its log.txt."


def die_with_parent() -> None:
    """End this process when the one that started it has ended, however that came; call it in a thread."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
