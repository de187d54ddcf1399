"""What the paper's ablation tables vary: a row of settings for each of their networks. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Rows of the paper's tables by what is set; after them, cells that the paper does not have and that tell apart what it
# changes at once. Table 5's full grid is not known here: its rows are ours, around the paper's best and default.
GRIDS: dict[int, tuple[Mapping[str, Any], ...]] = {
    3: tuple({"variant": name} for name in ("baseline", "ca", "pc", "mmnet", "ca-block", "basic-continuous")),
    4: tuple({"variant": name} for name in ("independent", "mmnet", "cbam")),
    5: tuple(
        {"n_layers": n_layers, "n_heads": n_heads}
        for n_layers, n_heads in ((1, 4), (2, 4), (3, 4), (2, 1), (2, 2), (2, 8), (3, 2))
    ),
}
