"""Worker pool of a study: the steps that are left, in pieces over all cores, in whatever order they are done."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from digitalgrid.processes import die_with_parent
from topologies.importers.profiles import Floats, Profiles
from topologies.study.case import StudyCase
from topologies.study.evaluation import Evaluation, StepResult
from topologies.study.records import StudyError

# How long (s) a piece of work takes, about: seldom written, soon shown, and little is lost by an interruption.
_PIECE_S = 1.0
# Steps in a piece, at most: ten days of quarter hours.
_MAX_STEPS = 960
# Work (s) from which worker processes are worth their start, as they have to import and compile.
_WORTH_WORKERS_S = 6.0


def evaluate_all(
    case: StudyCase, profiles: Profiles, steps: Sequence[int], workers: int
) -> Iterator[list[StepResult]]:
    """Results by piece, each step once. Raises StudyError where a worker process was killed."""
    if not steps:
        return
    # The first step compiles the kernels once for all; the second tells how long one takes.
    evaluation = Evaluation(case)
    yield _piece(evaluation, profiles, steps[:1])
    begin = time.perf_counter()
    yield _piece(evaluation, profiles, steps[1:2])
    step_s = time.perf_counter() - begin
    left = steps[2:]
    size = min(max(int(_PIECE_S / max(step_s, 1e-6)), 1), _MAX_STEPS)
    pieces = [left[first : first + size] for first in range(0, len(left), size)]
    if workers > 1 and len(left) * step_s > _WORTH_WORKERS_S:
        yield from _in_processes(case, profiles, pieces, workers)
        return
    for piece in pieces:
        yield _piece(evaluation, profiles, piece)


def _in_processes(
    case: StudyCase, profiles: Profiles, pieces: list[Sequence[int]], workers: int
) -> Iterator[list[StepResult]]:
    # A fork of a process whose progress bar has a thread could hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (os.getpid(), case))
    waiting = iter(pieces)
    running: set[Future[list[StepResult]]] = set()
    try:
        while True:
            # A few more than workers, so that none waits, and no more: each carries its own part of the profiles.
            for piece in waiting:
                chosen = list(piece)
                arguments = (chosen, profiles.load_w[chosen], profiles.source_w[chosen])
                running.add(pool.submit(_evaluate, *arguments))
                if len(running) > 2 * workers:
                    break
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise StudyError(
            "a worker process was killed, perhaps for lack of memory; run the study again to go on, "
            "with fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _piece(evaluation: Evaluation, profiles: Profiles, steps: Sequence[int]) -> list[StepResult]:
    chosen = list(steps)
    return evaluation.evaluate(chosen, profiles.load_w[chosen], profiles.source_w[chosen])


_evaluations: list[Evaluation] = []


def _begin(parent_pid: int, case: StudyCase) -> None:
    """The worker ends with the study, also when that is killed; Ctrl-C is the study's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent_pid)
    _evaluations[:] = [Evaluation(case)]


def _evaluate(steps: list[int], load_w: Floats, source_w: Floats) -> list[StepResult]:
    return _evaluations[0].evaluate(steps, load_w, source_w)
