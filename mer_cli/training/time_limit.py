"""Limit how long a command trains: no fold begins that would probably not end in time."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Hashable

from mer_cli.errors import ConfigError

SECONDS_OF_UNIT = {"h": 3600, "m": 60, "s": 1}


class TimeLimit:
    """The time that a command may train, shared and updated by all of its runs.

    The first fold of a command, or the first folds that run in parallel, are trained even if the time is too short, so
    that a repeated command always makes progress. Later a fold begins if the longest fold of its method would still
    fit. If no fold of the method has been timed, it begins only in the first half of the time.

    is_over : whether a fold was left out for lack of time
    longest : seconds of each method's longest fold so far
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_over = False
        self.longest: dict[str, float] = {}
        self._ends = time.monotonic() + seconds
        self._began_at: dict[Hashable, float] = {}
        self._has_begun = False

    def expect(self, method: str, seconds: float) -> None:
        """Note how long a fold of a method took, or is expected to take."""
        self.longest[method] = max(self.longest.get(method, 0), seconds)

    def has_time(self, method: str) -> bool:
        """Return whether a fold of the method may begin now; after the first False, the answer is always False."""
        if self._has_begun and not self.is_over:
            needed = self.longest.get(method, self.seconds / 2)
            self.is_over = time.monotonic() + needed > self._ends
        return not self.is_over

    @property
    def is_past(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self._ends

    def begin(self, method: str, fold: Hashable) -> bool:
        """Return whether there is time for another fold of a method; if there is, the fold counts as begun.

        Parameters
        ----------
        fold : what `ended` names it by; no two folds of a command have the same
        """
        if not self.has_time(method):
            return False
        self._has_begun = True
        self._began_at[fold] = time.monotonic()
        return True

    def ended(self, method: str, fold: Hashable) -> None:
        """Note that a fold was trained and written, and, if it has begun in this command, how long that took."""
        if fold in self._began_at:
            self.expect(method, time.monotonic() - self._began_at.pop(fold))


def parse_time_limit(text: str | None) -> TimeLimit:
    """Read a length of time such as "4m" or "1h30m" as a TimeLimit that starts now; None makes one without end."""
    if text is None:
        return TimeLimit(math.inf)
    found = re.fullmatch(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?", text.strip().casefold())
    if not text.strip() or not found:
        raise ConfigError(
            f"--time-limit: '{text}' is not a length of time. Write hours, minutes and seconds like 4m, 90s or 1h30m."
        )
    seconds = sum(int(n or 0) * of_unit for n, of_unit in zip(found.groups(), SECONDS_OF_UNIT.values(), strict=True))
    if not seconds:
        raise ConfigError("--time-limit must be longer than 0. Leave it out to train until all folds are finished.")
    return TimeLimit(seconds)
