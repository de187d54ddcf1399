"""Draw the head of a subject at random: a mix of ancestries, sexes, ages and weights, then some sixty small changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_cli.datasets.synthetic.assets import Floats, HeadAssets

ANCESTRIES = ("african", "asian", "caucasian")

# Features with two opposite targets, "folder/name-minus|plus". A name with {side} is drawn once and used on both
# sides, so that faces stay symmetric. No target moves a feature sideways.
FEATURES = tuple(
    f"{folder}-{feature}"
    for folder, features in {
        "head/head": "age-decr|incr angle-in|out fat-decr|incr scale-depth-decr|incr scale-horiz-decr|incr",
        "forehead/forehead": "nubian-decr|incr scale-vert-decr|incr temple-decr|incr trans-backward|forward",
        "eyebrows/eyebrows": "angle-down|up trans-backward|forward trans-down|up",
        "eyes/{side}-eye": (
            "bag-decr|incr corner1-down|up corner2-down|up epicanthus-in|out eyefold-angle-down|up "
            "eyefold-concave|convex eyefold-down|up height1-decr|incr height2-decr|incr "
            "height3-decr|incr push1-in|out push2-in|out scale-decr|incr trans-down|up trans-in|out"
        ),
        "nose/nose": (
            "base-down|up curve-concave|convex flaring-decr|incr greek-decr|incr hump-decr|incr "
            "nostrils-angle-down|up nostrils-width-decr|incr point-down|up point-width-decr|incr "
            "scale-depth-decr|incr scale-horiz-decr|incr scale-vert-decr|incr trans-down|up"
        ),
        "mouth/mouth": (
            "angles-down|up cupidsbow-decr|incr dimples-in|out laugh-lines-in|out "
            "lowerlip-height-decr|incr lowerlip-volume-decr|incr philtrum-volume-decr|incr "
            "scale-horiz-decr|incr scale-vert-decr|incr trans-down|up upperlip-height-decr|incr "
            "upperlip-volume-decr|incr"
        ),
        "cheek/{side}-cheek": "bones-decr|incr inner-decr|incr trans-down|up volume-decr|incr",
        "chin/chin": (
            "bones-decr|incr cleft-decr|incr height-decr|incr jaw-drop-decr|incr "
            "prognathism-decr|incr prominent-decr|incr width-decr|incr"
        ),
        "ears/{side}-ear": "lobe-decr|incr scale-decr|incr wing-decr|incr",
        "neck/neck": "double-decr|incr scale-horiz-decr|incr",
    }.items()
    for feature in features.split()
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
    """Draw a head at random."""
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
    """Return the targets for one end of a feature (small or large): a single one, or a left and a right one."""
    stem, _, ends = feature.rpartition("-")
    minus, _, plus = ends.partition("|")
    name = f"{stem}-{plus if is_plus else minus}"
    return [name.format(side=side) for side in ("l", "r")] if "{side}" in name else [name]


def _outline_target(outline: str) -> str:
    return f"head/head-{outline}"


def build(ancestry: Floats, masculinity: float, age: float, weight: float) -> list[tuple[str, float]]:
    """Return pairs of a whole-body target and its weight; `weight` is the body's, from -1 (thin) to 1 (heavy)."""
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
    """Move the vertices (V, 3), in place, by `weight` times the offsets of one identity target."""
    indices, offsets = assets.target(target)
    vertices[indices] += weight * offsets
