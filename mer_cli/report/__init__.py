"""The paper's tables with your runs beside the published numbers, in any format.

Builders fill one model of a table (`model.py`), renderers lay it out, and neither knows of the other. The same inputs
give the same bytes: rows are sorted, numbers are formatted, and nothing says when the report was made.

Called, as `mer_cli.report(runs)`, it is the function `report` of `document.py`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mer_cli.report.document import RunReport


class _CallableStage(ModuleType):
    """The stage as a function: both are called `mer_cli.report`, and Python keeps one object for a name."""

    def __call__(self, *runs: Any, **wanted: Any) -> RunReport:
        """Return a report; the arguments are those of `document.report`."""
        from mer_cli.report.document import report

        return report(*runs, **wanted)


sys.modules[__name__].__class__ = _CallableStage
