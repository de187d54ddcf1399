"""Runs code as the cells of a notebook: in a module `__main__` without a file, with the cells' texts in linecache."""

import linecache
import sys
from types import ModuleType


class Cells:
    """A notebook without a kernel; `names` are its variables."""

    def __init__(self, monkeypatch):
        module = ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", module)
        self.names, self.n_run = vars(module), 0

    def run(self, code):
        self.n_run += 1
        file = f"<cell {id(self)} {self.n_run}>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        exec(compile(code, file, "exec"), self.names)
