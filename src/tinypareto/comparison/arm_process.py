"""One sampler with one seed in a process of its own, one thread of torch and BLAS each."""

import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tinypareto.comparison.arm_run import ArmTask, run_arm
from tinypareto.comparison.rows import Row
from tinypareto.errors import TinyParetoError
from tinypareto.threads import use_one_thread
from tinypareto.trial_process import death_of, die_with_parent, process_context


class ArmProcess:
    """A running study.

    Attributes:
        task: What it does.
        failure: Why it ended too early; None while it runs or if all is well.
    """

    def __init__(self, task: ArmTask) -> None:
        self.task = task
        self.failure: str | None = None
        self._done = len(task.rows)
        context = process_context()
        self._receiver, sender = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_run, args=(task, sender), name=f"{task.arm}-{task.seed}"
        )
        self._process.start()
        sender.close()  # so that the child's end is the only one, and its death ends our wait

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.task.arm}, seed {self.task.seed}"

    def rows(self) -> Iterator[Row]:
        """Yield the rows that have arrived; call it after `wait_for_any` returned this process."""
        while self._receiver.poll():
            try:
                said: Row | str = self._receiver.recv()
            except (EOFError, OSError):
                self._end()
                return
            if isinstance(said, str):
                self.failure = said
            else:
                self._done += 1
                yield said

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will arrive."""
        return self._receiver.closed

    def stop(self) -> None:
        """Kill the process, and with it what it is training."""
        self._process.kill()
        self._process.join()
        self._receiver.close()

    @staticmethod
    def wait_for_any(processes: "Sequence[ArmProcess]", timeout: float) -> "list[ArmProcess]":
        """Return those that have said something or ended, after ``timeout`` seconds at most."""
        ready = set(wait([process._receiver for process in processes], timeout))
        return [process for process in processes if process._receiver in ready]

    def _end(self) -> None:
        self._process.join()
        self._receiver.close()
        if self.failure is None and self._done < self.task.trials:
            self.failure = death_of(self._process.exitcode, "its process")


def _run(task: ArmTask, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=die_with_parent, daemon=True).start()
    use_one_thread()
    try:
        run_arm(task, sender.send)
    except TinyParetoError as error:
        sender.send(str(error))
    except Exception as error:  # a peer's library may raise anything; the other studies go on
        traceback.print_exc()
        sender.send(f"{type(error).__name__}: {error}")
    sender.close()
