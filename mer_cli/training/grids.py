"""What the paper's ablation tables vary: a row of settings for each of their networks. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Rows of the paper's tables by what is set; after them, in Tables 3 and 4, cells that the paper does not have and that
# tell apart what it changes at once. Table 5 is the paper's settings i to vi, in its order.
GRIDS: dict[int, tuple[Mapping[str, Any], ...]] = {
    3: tuple({"variant": name} for name in ("baseline", "ca", "pc", "mmnet", "ca-block", "basic-continuous")),
    4: tuple({"variant": name} for name in ("independent", "mmnet", "cbam")),
    5: tuple({"n_layers": n_layers, "n_heads": n_heads} for n_layers in (2, 3) for n_heads in (2, 4, 8)),
}
