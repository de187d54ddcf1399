"""Action units as targets: the scheme `units`, under which a clip's label says which of some action units it shows.

The label is a bit mask (`unit_masks`). A clip with none of the units stays, with the label 0.

The units of `--scheme units` are the twelve of CD6ME, which is the field's protocol for them.

Source
------
Varanka et al., Data Leakage and Evaluation Issues in Micro-Expression Analysis, 2022 (arXiv 2211.11425); tvaranka/meb
at 013b879, `meb/utils/utils.py`, `dataset_aus["cross"]`, the default of `meb/core/train_eval.py`, `Config.action_units`
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mer_cli.datasets.action_units import LARGEST
from mer_cli.datasets.dataset import Scheme
from mer_cli.errors import ConfigError

UNITS = "units"
CD6ME = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)
MOST = 32  # units of a scheme: a mask must fit into 64 bits
_NAME = re.compile(rf"{UNITS}(-\d+)*")


def predicts_units(scheme: str) -> bool:
    """Return whether a scheme's name, in any case, is that of action units: "units", or "units-1-4-12"."""
    return _NAME.fullmatch(scheme.casefold()) is not None


def units_scheme(name: str, datasets: Iterable[str]) -> Scheme:
    """Return the scheme of a name such as "units" or "units-1-4-12", for any datasets that have action units.

    Raises
    ------
    ConfigError
        If a unit is named twice, does not exist, there are more than `MOST`, or the name can't be read.
    """
    is_read = predicts_units(name)
    named = [int(number) for number in name.split("-")[1:]] if is_read else []
    wrong = [number for number in named if not 1 <= number <= LARGEST or named.count(number) > 1]
    if not is_read or wrong or len(named) > MOST:
        twice = " twice" if wrong and named.count(wrong[0]) > 1 else ""
        problem = f"names AU{wrong[0]}{twice}" if wrong else f"names {len(named)} units" if named else "can't be read"
        raise ConfigError(
            f"--scheme {name}: {problem}. Expected up to {MOST} action units between 1 and {LARGEST}, each once, as in "
            f"{UNITS}-1-4-12; {UNITS} alone means {', '.join(map(str, CD6ME))}."
        )
    numbers = tuple(sorted(named)) or CD6ME
    return Scheme(
        UNITS if numbers == CD6ME else "-".join((UNITS, *map(str, numbers))),
        tuple(f"AU{number}" for number in numbers),
        {dataset: {} for dataset in datasets},
        of_units=True,
    )
