"""Do the tasks of a command in SLURM jobs, which go on when the command ends.

An array of jobs does all tasks of a command, about half an hour each. What is finished is read from the folders of the
works; SLURM is only asked which jobs are queued or running, so that its accounting is not needed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mer_cli.engines.engine import TRIES, Answer, Ended, Needs, OnStep, Task, Work
from mer_cli.engines.slurm_job import ChunkJob, Question
from mer_cli.engines.slurm_options import (
    ARRAY_PARALLELISM,
    SIGNAL_DELAY_S,
    Options,
    check_options,
    resources,
    time_limit,
)
from mer_cli.engines.slurm_queue import MOST_JOBS, LocalQueue, Queue, SlurmQueue
from mer_cli.engines.slurm_record import (
    Array,
    Job,
    Key,
    cause,
    forgotten,
    key_of,
    log_folder,
    new_array,
    read_arrays,
    read_result,
)
from mer_cli.errors import RunError

CHUNK_S = 1800.0  # seconds that the tasks of a job take
LIMIT_MIN = 120  # time limit of a job where --slurm and the partition say nothing
MOST_ALONE = 100  # jobs for the tasks of jobs that were killed
QUESTION_MIN = 15  # time limit of a job that answers a question
QUESTIONS = Path("~/.cache/mer/slurm")  # folder of their logs: a home folder is on all nodes
FIRST_TOLD_MIN = 5  # minutes that a question has waited when this is told
USUAL_REASONS = ("None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime", "Prolog")  # of a waiting job

POLL_S = 2.0  # seconds between two looks into the folders of the works
POLLS_PART = 0.1  # of the time is spent on these looks at most: a network disk may be slow
LOOK_S = 30.0  # seconds between two looks at SLURM's queue
GONE_S = 60.0  # seconds after which a job that has ended has written all that it will: network disks show files late
ENDING_S = 10.0  # seconds that the command waits for jobs which have done all their tasks
SUBMITTED_S = 600.0  # seconds after which a command has surely submitted what it was about to submit

Chunk = tuple[Task, ...]


def cut(tasks: Sequence[Task], seconds: float, most: int, at_once: int) -> list[Chunk]:
    """Return the tasks cut into chunks, in their order.

    A chunk takes about `seconds`. If nobody knows how long a task takes, there are as many chunks as jobs run at once.

    Parameters
    ----------
    most : largest number of chunks; they are longer if there would be more
    at_once : number of jobs that run at once
    """
    known = [task.seconds for task in tasks if task.seconds is not None]
    average = sum(known) / len(known) if known else 0.0
    lengths = [average if task.seconds is None else task.seconds for task in tasks]
    total = sum(lengths)
    if total <= 0:
        lengths, total = [1.0] * len(tasks), float(len(tasks))
        seconds = total / max(1, min(len(tasks), at_once))
    each = max(seconds, total / most)
    chunks: dict[int, list[Task]] = {}
    begin = 0.0
    for task, length in zip(tasks, lengths, strict=True):
        chunks.setdefault(int(begin / each * (1 + 1e-9)), []).append(task)
        begin += length
    return [tuple(chunk) for chunk in chunks.values()]


def cut_finely(tasks: Sequence[Task]) -> list[Chunk]:
    """Return tasks whose job was killed, alone or in few: one of them may have been the cause, but not the others."""
    each = max(1, -(-len(tasks) // MOST_ALONE))
    return [tuple(tasks[begin : begin + each]) for begin in range(0, len(tasks), each)]


class SlurmEngine:
    """An engine whose tasks are done by jobs of a SLURM cluster.

    Parameters
    ----------
    options : of --slurm, as `parse_slurm_options` returns them
    say : called with a sentence for the user
    cluster : "local" starts processes of this machine in place of jobs, also where there is no SLURM
    look_s, gone_s : seconds between two looks at the queue, and after which an ended job's files are complete
    """

    name = "slurm"
    is_detached = True
    place = ""

    def __init__(
        self,
        options: Options,
        say: Callable[[str], None],
        *,
        cluster: str = "slurm",
        look_s: float = LOOK_S,
        gone_s: float = GONE_S,
    ) -> None:
        check_options(options)
        self.options, self.say, self.look_s, self.gone_s = options, say, look_s, gone_s
        self.queue: Queue = LocalQueue() if cluster == "local" else SlurmQueue()
        self.delay_s = int(options.get("signal_delay_s", SIGNAL_DELAY_S))
        self.limit_min = time_limit(options, self.queue.partitions())

    def ask(self, question: Callable[[], Answer], needs: Needs) -> Answer:
        wanted = resources(self.options, [needs])
        wanted["time"] = min(QUESTION_MIN, self.limit_min or QUESTION_MIN)
        wanted["signal_delay_s"] = min(self.delay_s, 60)
        array = new_array(QUESTIONS.expanduser(), [()])
        require_plain_path(array.folder)
        array.numbers = self.queue.submit([Question(question)], array.folder, array.name, wanted)
        self.say(
            f"SLURM: job {array.number} asks a node what it has. It may have to wait in the queue; Ctrl-C stops it."
        )
        try:
            answer: Answer = self._answer(array)
        except BaseException:
            self.queue.cancel(array.numbers)
            raise
        array.remove()
        return answer

    def _answer(self, array: Array) -> Any:
        """Wait for what the only job of an array returns, and return it."""
        began = looked = time.monotonic()
        gone_since: float | None = None  # the first look that did not find the job: it may have ended just before
        told_min, reasons = FIRST_TOLD_MIN, set[str]()
        while (result := read_result(array, 0)) is None:
            time.sleep(min(1.0, self.look_s))
            if time.monotonic() - looked < self.look_s:
                continue
            looked = time.monotonic()
            jobs = self.queue.jobs(array.name, array.numbers)
            job = (jobs or {}).get(0) or forgotten(array, 0)
            if jobs is None or job.is_alive:
                gone_since = None
            elif gone_since is None:
                gone_since = looked
            elif looked - gone_since >= self.gone_s:
                raise RunError(f"--engine slurm: a job that asks a node what it has: {cause(array, 0, job)}")
            minutes = int(looked - began) // 60
            if job.state == "PENDING":
                self.tell_unusual(job, reasons)
            if job.state == "PENDING" and minutes >= told_min:
                told_min = 2 * minutes
                self.say(f"SLURM: job {array.number} has waited for {minutes} minutes ({job.reason}).")
        if result[0] != "success":
            raise RunError(f"--engine slurm: a job that asks a node what it has: {cause(array, 0, Job('', 'FAILED'))}")
        return result[1]

    def tell_unusual(self, job: Job, told: set[str]) -> None:
        """Tell why a job waits, if the reason is neither usual nor told already; then add it to those told."""
        if job.reason not in {*USUAL_REASONS, *told}:
            told.add(job.reason)
            self.say(f"SLURM: job {job.number} waits: {job.reason}. `scontrol show job {job.number}` tells more.")

    def run(self, tasks: Iterable[Task], on_end: Callable[[Ended], None], on_step: OnStep) -> None:
        command = Command(self, tuple(tasks), on_end)
        command.tell_ended()
        command.attach()
        command.submit(self.cut([task for key, task in command.left.items() if key not in command.jobs]))
        try:
            command.wait()
        except KeyboardInterrupt:
            self.say(f"The jobs go on. The same command shows how far they are; {command.cancel} stops them.")
            raise

    def cut(self, tasks: Sequence[Task]) -> list[Chunk]:
        """Return the tasks cut into chunks that fit into the time limit."""
        seconds = CHUNK_S if self.limit_min is None else min(CHUNK_S, 0.8 * (self.limit_min * 60 - self.delay_s))
        return cut(tasks, seconds, MOST_JOBS, int(self.options.get("array_parallelism", ARRAY_PARALLELISM)))

    def submit(self, chunks: Sequence[Chunk], folder: Path) -> Array:
        """Submit an array of jobs for these chunks; its file is written first, so that no job is ever forgotten."""
        require_plain_path(folder)
        wanted = resources(self.options, {task.work.needs for chunk in chunks for task in chunk})
        wanted.setdefault("array_parallelism", ARRAY_PARALLELISM)
        longest_min = max(sum(task.seconds or 0.0 for task in chunk) for chunk in chunks) / 60
        limit = wanted.setdefault("time", min(self.limit_min or 10**9, max(LIMIT_MIN, round(2 * longest_min))))
        wanted["signal_delay_s"] = self.delay_s
        array = new_array(folder, chunks)
        array.write()
        try:
            array.numbers = self.queue.submit(
                [ChunkJob(chunk, limit, self.delay_s) for chunk in chunks], folder, array.name, wanted
            )
        except BaseException:
            array.remove()
            raise
        array.write()
        return array


def require_plain_path(folder: Path) -> None:
    """Raise a RunError if the path of the logs has a % in it, for which SLURM puts the number of a job, for example."""
    path = str(folder.absolute())
    if "%" in path:
        raise RunError(
            f"--engine slurm: {path}: SLURM can't write logs there, because it replaces '%' in their paths. Use a "
            "folder without it, for example with another --out."
        )


def counted(n: int, what: str) -> str:
    """Return a number with the word for what it counts, such as "1 job" or "2 jobs"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


class Command:
    """The tasks of a command, and the jobs that do them.

    left : tasks that have not ended · jobs : array and place in it of the job that does a task
    """

    def __init__(self, engine: SlurmEngine, tasks: Sequence[Task], on_end: Callable[[Ended], None]) -> None:
        self.engine, self.on_end = engine, on_end
        self.left = {key_of(task): task for task in tasks}
        self.works: list[Work] = list({task.work.name: task.work for task in tasks}.values())
        self.jobs: dict[Key, tuple[Array, int]] = {}
        self.arrays: list[Array] = []
        self.n_lost: Counter[Key] = Counter()
        self.gone: dict[tuple[str, int], float] = {}  # since when a job has ended
        self.reasons: set[str] = set()

    @property
    def cancel(self) -> str:
        """The command that stops all jobs."""
        return f"`scancel {' '.join(array.number for array in self.arrays)}`"

    def tell_ended(self) -> None:
        """Tell of the tasks that have ended since the last look, as their works' folders say."""
        for key, task in list(self.left.items()):
            told = task.work.kept(task.item)
            error = task.work.failure(task.item) if told is None else None
            if told is not None or error is not None:
                self.end(key, Ended(task, told, None if error is None else RunError(error)))

    def end(self, key: Key, ended: Ended) -> None:
        del self.left[key]
        self.on_end(ended)

    def attach(self) -> None:
        """Find the jobs of earlier commands that are queued or running and do tasks of this one."""
        for array in read_arrays(self.works):
            jobs = self.engine.queue.jobs(array.name, array.numbers)
            if jobs is None:
                raise RunError(
                    f"{array.file}: jobs of an earlier command may still be running, but squeue doesn't answer. Run "
                    "the same command again when it does."
                )
            alive = {place for place, job in jobs.items() if job.is_alive}
            array.numbers = array.numbers or self.numbers(array, jobs)
            keys = {key: (array, place) for place in alive for key in array.chunks[place] if key in self.left}
            if keys:
                self.jobs |= keys
                self.arrays.append(array)
                self.engine.say(
                    f"SLURM: jobs of an earlier command are queued or running: {array.number} does {len(keys)} of the "
                    f"tasks. Logs: {array.folder}"
                )
            elif not alive and (array.numbers or time.time() - array.file.stat().st_mtime > SUBMITTED_S):
                array.remove()

    def numbers(self, array: Array, jobs: Mapping[int, Job]) -> list[str]:
        """Return the numbers of the jobs of an array whose command was killed while it submitted them."""
        known = next(iter(jobs.values()), None)
        if known is None:
            return []
        main, _, place = known.number.partition("_")
        return [f"{main}_{n}" for n in range(len(array.chunks))] if place else [main]

    def submit(self, chunks: Sequence[Chunk]) -> None:
        if not chunks:
            return
        array = self.engine.submit(chunks, log_folder(self.works))
        self.arrays.append(array)
        self.jobs |= {key: (array, place) for place, chunk in enumerate(array.chunks) for key in chunk}
        self.engine.say(
            f"SLURM: submitted {counted(len(chunks), 'job')} for {counted(sum(map(len, chunks)), 'task')}: "
            f"{array.number}. You may close this command: the same command shows how far they are, "
            f"`scancel {array.number}` stops them. Logs: {array.folder}"
        )

    def wait(self) -> None:
        """Wait until all tasks have ended."""
        looked = time.monotonic()
        while self.left:
            began = time.monotonic()
            self.tell_ended()
            pause = max(min(POLL_S, self.engine.look_s), (time.monotonic() - began) / POLLS_PART)
            if self.left and time.monotonic() - looked >= self.engine.look_s:
                self.look()
                looked = time.monotonic()
            if self.left:
                time.sleep(pause)
        self.clear()

    def clear(self) -> None:
        """Cancel jobs whose tasks have all ended elsewhere, and remove what submitit left of all other ended jobs."""
        queue, until = self.engine.queue, time.monotonic() + ENDING_S
        for array in self.arrays:
            if any(key not in self.jobs for chunk in array.chunks for key in chunk):  # also of another command
                continue
            while jobs := [job for job in (queue.jobs(array.name, array.numbers) or {}).values() if job.is_alive]:
                queue.cancel([job.number for job in jobs if job.state == "PENDING"])
                if time.monotonic() > until:
                    return
                time.sleep(min(1.0, self.engine.look_s))
            array.remove()

    def look(self) -> None:
        """Ask which jobs have ended without ending their tasks, and submit those tasks again."""
        again = []
        for array in {array.name: array for key, (array, _) in self.jobs.items() if key in self.left}.values():
            jobs = self.engine.queue.jobs(array.name, array.numbers)
            if jobs is None:  # SLURM doesn't answer; the jobs go on
                continue
            for place in range(len(array.chunks)):
                job = jobs.get(place) or forgotten(array, place)
                if job.state == "PENDING":
                    self.engine.tell_unusual(job, self.reasons)
                missing = [
                    key for key in array.chunks[place] if self.jobs.get(key) == (array, place) and key in self.left
                ]
                if job.is_alive or not missing:
                    self.gone.pop((array.name, place), None)
                    continue
                since = self.gone.setdefault((array.name, place), time.monotonic())
                if time.monotonic() - since >= self.engine.gone_s:
                    again += self.lost(array, place, job, missing)
        self.tell_ended()
        self.submit(cut_finely([self.left[key] for key in again if key in self.left]))

    def lost(self, array: Array, place: int, job: Job, keys: Sequence[Key]) -> list[Key]:
        """Decide on the tasks that an ended job has not ended; return those to submit again."""
        again = []
        for key in keys:
            task = self.left[key]
            if job.state == "CANCELLED":
                self.end(key, Ended(task, error=RunError(cause(array, place, job))))
                continue
            if not task.work.begin(task.item):  # another process does it, which will end it or lose its claim
                continue
            task.work.end(task.item)
            self.n_lost[key] += job.state != "PREEMPTED"
            if job.state not in ("PREEMPTED", "COMPLETED"):  # a job that comes to its end notes failures itself
                task.work.fail(task.item, RunError(cause(array, place, job)), array.log(place))
            elif self.n_lost[key] >= TRIES:
                log = f" Its log: {array.log(place)}"
                self.end(key, Ended(task, error=RunError(f"{TRIES} jobs have ended without doing it.{log}")))
            again.append(key)
        return again
