"""Work on many images, spread over the CPUs: forked processes on Linux, threads elsewhere.

Pillow releases the interpreter lock while it decodes or resizes, but a small picture takes as long in Python, and
there threads wait for each other. Elsewhere than on Linux fork is unsafe or missing, and spawn would import a
notebook's ``__main__`` again.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def cpus() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int, ahead: int) -> Iterator[Result]:
    """``work(task)`` of every task, in order.

    Tasks and results are pickled on their way to a process, ``work`` is not: whatever it refers to is inherited.
    One worker is this process itself.

    Args:
        ahead: how many tasks may have begun whose result was not used up. The result of a task is used up when the
            caller asks for the next one, so task k + ahead never runs at the same time as k or its use.

    Raises:
        RuntimeError: a worker was killed.
    """
    if workers == 1:
        yield from map(work, tasks)
        return
    rest, begun = iter(tasks), deque()
    with _pool(work, workers) as submit:
        try:
            while True:
                # Python 3.12 and newer warn of fork with threads; the children touch neither torch nor its threads.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    begun.extend(map(submit, itertools.islice(rest, ahead - len(begun))))
                if not begun:
                    return
                yield begun[0].result()
                begun.popleft()
        except BrokenProcessPool:
            raise RuntimeError("a worker process was killed, perhaps for want of memory; run this again") from None
        finally:
            for future in begun:
                future.cancel()


@contextlib.contextmanager
def _pool(work: Callable, workers: int) -> Iterator[Callable]:
    """Workers, as a function that is given a task and returns its future."""
    pool: Executor
    if sys.platform != "linux":
        with ThreadPoolExecutor(workers) as pool:
            yield lambda task: pool.submit(work, task)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(work,)) as pool:
        yield lambda task: pool.submit(_do, task)


_work: Callable | None = None  # of a worker process


def _start(work: Callable) -> None:
    """In a new worker process."""
    global _work
    _work = work
    gc.freeze()  # what is inherited is not garbage: looking at it would copy its pages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process: the parent decides what it means
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _do(task: Task) -> Result:
    return _work(task)


def _leave_with_parent() -> None:
    """A worker must not outlive a killed parent: it would keep the lock of the cache."""
    multiprocessing.parent_process().join()
    os._exit(1)
