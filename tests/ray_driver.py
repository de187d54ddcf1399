"""A command that does tasks of `CountedWork` on Ray: ADDRESS FOLDER KIND...; prints a line for each that has ended."""

import sys

from counted_work import CountedWork

from mer_cli.engines.ray_engine import RayEngine
from mer_cli.errors import MerError

if __name__ == "__main__":
    address, folder, *kinds = sys.argv[1:]
    work = CountedWork(folder)
    tasks = [task for task in work.tasks(*kinds) if not work.counts("keep", task.item.split()[0])]
    try:
        with RayEngine(None if address == "local" else address) as engine:
            print("connected", flush=True)
            engine.run(tasks, lambda end: print(end.task.name, end.error, flush=True), None)
    except MerError as error:
        sys.exit(f"error: {error}")
