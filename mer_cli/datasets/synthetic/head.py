"""Draws who a subject is: a mix of ancestries, sexes, ages and weights, then some sixty small changes of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_cli.datasets.synthetic.assets import Floats, HeadAssets

ANCESTRIES = ("african", "asian", "caucasian")

# Features with two opposite targets, "folder/name-minus|plus". A name with {side} is drawn once and used on both
# sides, so that faces stay symmetric. Nothing here moves a feature sideways.
FEATURES = (
    "head/head-age-decr|incr",
    "head/head-angle-in|out",
    "head/head-fat-decr|incr",
    "head/head-scale-depth-decr|incr",
    "head/head-scale-horiz-decr|incr",
    "forehead/forehead-nubian-decr|incr",
    "forehead/forehead-scale-vert-decr|incr",
    "forehead/forehead-temple-decr|incr",
    "forehead/forehead-trans-backward|forward",
    "eyebrows/eyebrows-angle-down|up",
    "eyebrows/eyebrows-trans-backward|forward",
    "eyebrows/eyebrows-trans-down|up",
    "eyes/{side}-eye-bag-decr|incr",
    "eyes/{side}-eye-corner1-down|up",
    "eyes/{side}-eye-corner2-down|up",
    "eyes/{side}-eye-epicanthus-in|out",
    "eyes/{side}-eye-eyefold-angle-down|up",
    "eyes/{side}-eye-eyefold-concave|convex",
    "eyes/{side}-eye-eyefold-down|up",
    "eyes/{side}-eye-height1-decr|incr",
    "eyes/{side}-eye-height2-decr|incr",
    "eyes/{side}-eye-height3-decr|incr",
    "eyes/{side}-eye-push1-in|out",
    "eyes/{side}-eye-push2-in|out",
    "eyes/{side}-eye-scale-decr|incr",
    "eyes/{side}-eye-trans-down|up",
    "eyes/{side}-eye-trans-in|out",
    "nose/nose-base-down|up",
    "nose/nose-curve-concave|convex",
    "nose/nose-flaring-decr|incr",
    "nose/nose-greek-decr|incr",
    "nose/nose-hump-decr|incr",
    "nose/nose-nostrils-angle-down|up",
    "nose/nose-nostrils-width-decr|incr",
    "nose/nose-point-down|up",
    "nose/nose-point-width-decr|incr",
    "nose/nose-scale-depth-decr|incr",
    "nose/nose-scale-horiz-decr|incr",
    "nose/nose-scale-vert-decr|incr",
    "nose/nose-trans-down|up",
    "mouth/mouth-angles-down|up",
    "mouth/mouth-cupidsbow-decr|incr",
    "mouth/mouth-dimples-in|out",
    "mouth/mouth-laugh-lines-in|out",
    "mouth/mouth-lowerlip-height-decr|incr",
    "mouth/mouth-lowerlip-volume-decr|incr",
    "mouth/mouth-philtrum-volume-decr|incr",
    "mouth/mouth-scale-horiz-decr|incr",
    "mouth/mouth-scale-vert-decr|incr",
    "mouth/mouth-trans-down|up",
    "mouth/mouth-upperlip-height-decr|incr",
    "mouth/mouth-upperlip-volume-decr|incr",
    "cheek/{side}-cheek-bones-decr|incr",
    "cheek/{side}-cheek-inner-decr|incr",
    "cheek/{side}-cheek-trans-down|up",
    "cheek/{side}-cheek-volume-decr|incr",
    "chin/chin-bones-decr|incr",
    "chin/chin-cleft-decr|incr",
    "chin/chin-height-decr|incr",
    "chin/chin-jaw-drop-decr|incr",
    "chin/chin-prognathism-decr|incr",
    "chin/chin-prominent-decr|incr",
    "chin/chin-width-decr|incr",
    "ears/{side}-ear-lobe-decr|incr",
    "ears/{side}-ear-scale-decr|incr",
    "ears/{side}-ear-wing-decr|incr",
    "neck/neck-double-decr|incr",
    "neck/neck-scale-horiz-decr|incr",
)
OUTLINES = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")


@dataclass(frozen=True)
class Identity:
    """A head at rest.

    vertices : (V, 3) float64, decimetres
    ancestry : (3,) weights of `ANCESTRIES`, summing to 1
    masculinity, age : 0-1
    """

    vertices: Floats
    ancestry: Floats
    masculinity: float
    age: float


def draw_identity(assets: HeadAssets, rng: np.random.Generator) -> Identity:
    """A new head."""
    vertices = assets.vertices.copy()
    ancestry = rng.dirichlet([0.35, 0.35, 0.35])
    masculinity = float(rng.beta(0.35, 0.35))
    age = float(rng.uniform(0.0, 0.5) * (rng.random() < 0.5))
    for name, weight in build(ancestry, masculinity, age, float(rng.uniform(-0.6, 0.6))):
        shift(assets, vertices, name, weight)
    for feature in FEATURES:
        strength = float(np.clip(rng.normal(0.0, 0.22), -0.45, 0.45))
        for name in _feature_targets(feature, strength > 0):
            shift(assets, vertices, name, abs(strength))
    shift(assets, vertices, _outline_target(rng.choice(OUTLINES)), float(rng.uniform(0.0, 0.45)))
    return Identity(vertices, ancestry, masculinity, age)


def target_names() -> set[str]:
    """Return the names of all identity targets that a head can be made of."""
    even = np.full(len(ANCESTRIES), 1 / len(ANCESTRIES))
    names = {name for weight in (-0.5, 0.5) for name, _ in build(even, 0.5, 0.5, weight)}
    for feature in FEATURES:
        names.update(*(_feature_targets(feature, is_plus) for is_plus in (False, True)))
    return names | {_outline_target(outline) for outline in OUTLINES}


def _feature_targets(feature: str, is_plus: bool) -> list[str]:
    """Return the targets of one end of a feature: one, or one for each side of the face."""
    stem, _, ends = feature.rpartition("-")
    minus, _, plus = ends.partition("|")
    name = f"{stem}-{plus if is_plus else minus}"
    return [name.format(side=side) for side in ("l", "r")] if "{side}" in name else [name]


def _outline_target(outline: str) -> str:
    return f"head/head-{outline}"


def build(ancestry: Floats, masculinity: float, age: float, weight: float) -> list[tuple[str, float]]:
    """The whole-body targets and how much of each, for a body weight from -1 (thin) to 1 (heavy)."""
    targets = []
    for sex, sex_share in (("male", masculinity), ("female", 1.0 - masculinity)):
        for years, age_share in (("young", 1.0 - age), ("old", age)):
            share = sex_share * age_share
            targets += [
                (f"macrodetails/{people}-{sex}-{years}", share * part)
                for people, part in zip(ANCESTRIES, ancestry, strict=True)
            ]
            body = f"macrodetails/universal-{sex}-{years}-averagemuscle"
            extreme = "maxweight" if weight > 0 else "minweight"
            targets.append((f"{body}-averageweight", share * (1.0 - abs(weight))))
            targets.append((f"{body}-{extreme}", share * abs(weight)))
    return [(name, float(part)) for name, part in targets if part > 0.02]


def shift(assets: HeadAssets, vertices: Floats, target: str, weight: float) -> None:
    """Moves the vertices, in place, by a share of one identity target."""
    indices, offsets = assets.target(target)
    vertices[indices] += weight * offsets
