"""Do tasks on Ray: on this machine, or on all nodes of a cluster, without a disk that they share.

What the tasks of a work share is read here and sent to each node once; results come back, and this process writes
them. So a node that is lost costs the tasks at work there, and nothing else.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from pickle import PickleBuffer
from typing import Any, Self

from mer_cli.engines.engine import TRIES, Answer, Ended, Needs, OnStep, Task, Work
from mer_cli.engines.ray_cluster import joined_cluster, local_cluster
from mer_cli.engines.ray_worker import Outcome, Worker
from mer_cli.engines.same_code import own_code
from mer_cli.errors import ConfigError, MerError, RunError

MOST_STARTS = 64  # workers that are started at once
KEPT = 0.5  # part of the smallest node's object store that may hold works of which no task is running


class TooLargeError(ConfigError):
    """What tasks share does not fit into the memory that a node has for it."""


@dataclass(eq=False)
class Place:
    """A worker, which does one task at a time, and what it has of its node."""

    actor: Any
    resources: dict[str, float]
    host: str = ""


@dataclass
class Sent:
    """A work in Ray's object store, and what its tasks share, which other works may share too.

    references : to both · shared : what `Work.read` returned · size : of it, in bytes
    """

    name: str
    references: list[Any]
    shared: Any
    size: int
    n_running: int = 0


class RayEngine:
    """A Ray cluster for the tasks of a command; connected within a `with` block.

    Parameters
    ----------
    address : "HOST:PORT" or "auto" of a cluster that runs; None starts one on this machine, unless the variable
        RAY_ADDRESS of the environment names one
    """

    name = "ray"
    is_detached = False

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS")
        self.where = f"--engine ray:{self.address}" if self.address else "--engine ray"
        self.stack = ExitStack()
        self.settled: dict[Needs, dict[str, float]] = {}

    def __enter__(self) -> Self:
        self.ray = self.stack.enter_context(joined_cluster(self.address) if self.address else local_cluster())
        self.idle: list[Place] = []
        self.starting: dict[Any, Place] = {}
        self.n_started = self.n_lost_starts = 0
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    @property
    def place(self) -> str:
        """Name of the node that does the task that is taken next; "" if no worker is free yet."""
        return self.idle[0].host if self.idle else ""

    def ask(self, question: Callable[[], Answer], needs: Needs) -> Answer:
        """Return what a module's function returns on a node that has what a task needs."""
        resources = self.resources_for(needs)
        for _ in range(TRIES):
            while (place := self.take(resources)) is None:
                self.start(resources, most=1)
                self.wait()
            try:
                outcome: Outcome = self.ray.get(place.actor.ask.remote(question))
            except self.ray.exceptions.RayError as error:
                self.end(place)
                lost = error
                continue
            self.idle.append(place)
            if outcome.error is not None:
                raise outcome.error
            answer: Answer = outcome.result
            return answer
        raise RunError(f"{self.where}: {self.loss(lost)}")

    def run(self, tasks: Iterable[Task], on_end: Callable[[Ended], None], on_step: OnStep) -> None:
        """Do the tasks on all places that the cluster has for them, also on those of nodes that join later."""
        this_round = Round(self, iter(tasks), on_end)
        try:
            this_round.run()
        finally:
            this_round.stop()

    def resources_for(self, needs: Needs) -> dict[str, float]:
        """Return what a task needs of a node, in Ray's terms.

        A task that takes all cores has those of the smallest node; on a GPU it has as many as there are for each task
        that the GPUs of a node have room for.

        Raises
        ------
        ConfigError
            If no node has as much.
        """
        if needs in self.settled:
            return self.settled[needs]
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        cores = [node.get("CPU", 0) for node in nodes if node.get("CPU", 0) >= 1]
        wanted: dict[str, float] = {"CPU": needs.threads or min(cores, default=1)}
        if needs.device == "cuda":
            with_gpus = [node for node in nodes if node.get("GPU", 0)]
            if needs.threads is None:
                shares = (node.get("CPU", 0) // (node["GPU"] * needs.on_each_gpu) for node in with_gpus)
                wanted["CPU"] = max(1, min(shares, default=1))
            wanted["GPU"] = 1 if needs.on_each_gpu == 1 else int(10_000 / needs.on_each_gpu) / 10_000
            if not with_gpus:
                raise ConfigError(
                    f"{self.where}: --device cuda, but no node of the cluster has a GPU. Add a node that has one, or "
                    "use --device cpu."
                )
        if not any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
            has = "and a GPU " if "GPU" in wanted else ""
            raise ConfigError(
                f"{self.where}: a task needs {wanted['CPU']:g} cores {has}of one node, and the largest has "
                f"{max(cores, default=0):g}. Ask for fewer, or add a larger node."
            )
        self.settled[needs] = wanted  # the number of threads can change the last digits: nodes that join don't
        return wanted

    def take(self, resources: dict[str, float]) -> Place | None:
        """Return a worker that has nothing to do and the resources, no longer listed as idle; None if there is none."""
        for place in self.idle:
            if place.resources == resources:
                self.idle.remove(place)
                return place
        return None

    def start(self, resources: dict[str, float], most: int = MOST_STARTS) -> None:
        """Start as many workers as have room now, and one that waits for room; end those with other resources."""
        self.end_idle(lambda place: place.resources != resources)
        if any(place.resources != resources for place in self.starting.values()):
            self.end_starting()
        if self.starting:
            return
        free = self.ray.available_resources()
        room = min(int(free.get(name, 0) / amount) for name, amount in resources.items())
        options = {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0), "max_restarts": 0}
        remote = self.ray.remote(scheduling_strategy="SPREAD", **options)(Worker)  # over the nodes
        self.n_started = max(1, min(room, most))
        for _ in range(self.n_started):
            place = Place(remote.remote(int(resources["CPU"]), str(Path.cwd())), resources)
            self.starting[place.actor.begin.remote(own_code())] = place

    def wait(self, running: Iterable[Any] = ()) -> list[Any]:
        """Wait until something happens; note the workers that have started, and return which of `running` are done."""
        done, _ = self.ray.wait([*running, *self.starting], num_returns=1)
        return [reference for reference in done if not self._note_start(reference)]

    def _note_start(self, reference: Any) -> bool:
        place = self.starting.pop(reference, None)
        if place is None:
            return False
        try:
            outcome: Outcome = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self.end(place)
            self.n_lost_starts += 1
            if self.n_lost_starts >= TRIES * self.n_started:  # not just one node, with all that started on it
                raise RunError(f"{self.where}: no worker can start: {self.loss(error)}") from None
            return True
        if outcome.error is not None:
            raise outcome.error
        place.host, self.n_lost_starts = outcome.result, 0
        self.idle.append(place)
        return True

    def end(self, place: Place) -> None:
        """End a worker at once, whatever it does."""
        self.ray.kill(place.actor)

    def end_idle(self, is_ended: Callable[[Place], bool]) -> None:
        """End the workers that have nothing to do and of which the function says so."""
        for place in [place for place in self.idle if is_ended(place)]:
            self.idle.remove(place)
            self.end(place)

    def end_starting(self) -> None:
        """End the workers that have not started yet."""
        for reference in list(self.starting):
            self.end(self.starting.pop(reference))

    def object_store(self) -> int:
        """Return the number of bytes of the smallest node's object store."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        return int(min(node.get("object_store_memory", 0) for node in nodes))

    def loss(self, error: BaseException) -> str:
        """Return why a worker was lost: what Ray says, without its general advice."""
        text = re.split(" Some common causes include| OOM kill reason", " ".join(str(error).split()))[0]
        if isinstance(error, self.ray.exceptions.OutOfMemoryError) or "low on memory" in text:
            advice = "The memory of its node ran out. Start the node with fewer cores (ray start --num-cpus=N)."
            return f"{advice} Ray says: {text}."
        return f"Ray says: {text}"


@dataclass
class Attempt:
    """A task that was given to a worker, or will be, and how often that has failed."""

    task: Task
    n_failed: int = 0


class Round:
    """One call of `RayEngine.run`: which task is where, and what failed."""

    def __init__(self, engine: RayEngine, tasks: Iterator[Task], on_end: Callable[[Ended], None]) -> None:
        self.engine, self.tasks, self.on_end = engine, tasks, on_end
        self.ray = engine.ray
        self.again: deque[Attempt] = deque()
        self.hand: Attempt | None = None  # taken from the tasks, and not yet begun
        self.resources: dict[str, float] = {}  # of the last task; {} after the last one
        self.running: dict[Any, tuple[Place, Attempt]] = {}
        self.sent: dict[str, Sent] = {}  # the least recently used first

    def run(self) -> None:
        """Do the tasks until there are no more."""
        self.hand_out()
        while self.running or self.resources:
            results = [self.receive(reference) for reference in self.engine.wait(self.running)]
            self.hand_out()  # before results are written, so that workers don't wait for the disk
            for attempt, outcome in filter(None, results):
                task = attempt.task
                told, failed = None, outcome.error
                if failed is None:
                    try:
                        told = task.work.keep(task.item, outcome.result)
                    except (MerError, OSError) as error:  # a full disk, or a run that was removed
                        failed = error
                self.on_end(Ended(task, told, failed, max(1, attempt.n_failed)))

    def stop(self) -> None:
        """End the workers that are still at work, after an error or Ctrl-C."""
        for place, _ in self.running.values():
            self.engine.end(place)

    def hand_out(self) -> None:
        """Give tasks to the workers that have none, and start workers while there are tasks and room."""
        while True:
            if self.hand is None:
                if self.resources and not self.engine.idle and not self.again:
                    break
                self.hand = self.again.popleft() if self.again else self.next_task()
                if self.hand is None:
                    self.resources = {}
                    self.engine.end_starting()
                    self.forget(-1)
                    return
                self.resources = self.engine.resources_for(self.hand.task.work.needs)
            place = self.engine.take(self.resources)
            if place is None:
                break
            self.begin(place, self.hand)
        self.engine.start(self.resources)

    def next_task(self) -> Attempt | None:
        task = next(self.tasks, None)
        return None if task is None else Attempt(task)

    def begin(self, place: Place, attempt: Attempt) -> None:
        """Give a task to a worker; if what it needs can't be read, it has ended."""
        self.hand = None
        task = attempt.task
        try:
            sent = self.send(task.work)
        except TooLargeError:
            raise
        except Exception as error:
            self.engine.idle.append(place)
            self.on_end(Ended(task, error=error))
            return
        sent.n_running += 1
        reference = place.actor.do.remote(sent.references, task.item)
        self.running[reference] = place, attempt

    def send(self, work: Work) -> Sent:
        """Return a work in the object store, read now if it isn't there; put out works that take too much room."""
        sent = self.sent.pop(work.name, None)
        if sent is None:
            shared = work.read()
            same = next((held for held in self.sent.values() if held.shared is shared), None)
            if same is None:
                size = self.size_in_room(work, shared)
                sent = Sent(work.name, [self.ray.put(work), self.ray.put(shared)], shared, size)
            else:
                sent = Sent(work.name, [self.ray.put(work), same.references[1]], shared, same.size)
        self.sent[work.name] = sent
        return sent

    def size_in_room(self, work: Work, shared: Any) -> int:
        """Return the size of what a work's tasks share, for which there is room then in all object stores."""
        size, room = _size(self.ray, shared), self.engine.object_store()
        if size > room:
            raise TooLargeError(
                f"{self.engine.where}: {work.name}: the tasks share {size:,} bytes, and the smallest object store of a "
                f"node has {room:,}. Start the nodes with a larger one: ray start --object-store-memory=BYTES."
            )
        self.forget(int(room * KEPT) - size)
        return size

    def forget(self, room: int) -> None:
        """Free the works of which no task is running, the least recently used first, until the others have room."""
        for sent in list(self.sent.values()):
            if sum({id(held.shared): held.size for held in self.sent.values()}.values()) <= room:
                return
            if not sent.n_running:
                del self.sent[sent.name]

    def receive(self, reference: Any) -> tuple[Attempt, Outcome] | None:
        """Return a task that has ended and what came of it; None if it will be done again."""
        place, attempt = self.running.pop(reference)
        task = attempt.task
        self.sent[task.work.name].n_running -= 1
        try:
            outcome: Outcome = self.ray.get(reference)
            self.engine.idle.append(place)
        except self.ray.exceptions.RayError as error:
            self.engine.end(place)
            self.engine.end_idle(lambda idle: idle.host == place.host)  # lost with their node, perhaps
            was = "could not get the work" if isinstance(error, self.ray.exceptions.RayTaskError) else "was lost"
            text = f"{task.name}: its worker on {place.host} {was} {TRIES} times. {self.engine.loss(error)}"
            outcome = Outcome(error=RunError(text))
            is_final = False
        else:
            is_final = outcome.error is None or isinstance(outcome.error, MerError)
        attempt.n_failed += outcome.error is not None
        if not is_final and attempt.n_failed < TRIES:
            self.again.append(attempt)
            return None
        return attempt, outcome


def _size(ray: Any, held: Any) -> int:
    """Return the number of bytes of an object in the object store; arrays are not copied for it."""
    buffers: list[PickleBuffer] = []
    rest = ray.cloudpickle.dumps(held, protocol=5, buffer_callback=buffers.append)
    return len(rest) + sum(buffer.raw().nbytes for buffer in buffers)
