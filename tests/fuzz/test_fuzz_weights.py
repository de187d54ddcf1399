"""Damage to a .pth file of released weights: nothing in it is executed, and what is read is what was saved."""

import io
import pickle
import zipfile

import pytest
import torch
from campaign import ERROR, Tally, campaign, damaged, damages, outcome, places, sizes
from hypothesis import strategies as st
from test_models_official import official_state_dict

PLACE = "head.weight"


class Runs:
    """Whoever unpickles it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture(scope="module")
def weights():
    return official_state_dict(n_classes=3, depth=1, mlp_ratio=1, unused=False)


def read(path):
    from mer_cli.models.official import read_official

    return {name: float(value.double().sum()) for name, value in read_official(path).state_dict().items()}


tensors = {
    "billion": lambda held: held.flatten()[:1].expand(10**9),
    "few": lambda held: held.flatten()[:1],
    "flat": lambda held: held.flatten(),
    "empty": lambda held: held.flatten()[:0],
    "scalar": lambda held: held.sum(),
    "nan": lambda held: held * float("nan"),
    "integers": lambda held: held.to(torch.int64),
    "complex": lambda held: held.to(torch.complex64),
    "half": lambda held: held.half(),
    "sparse": lambda held: held.to_sparse(),
    "meta": lambda held: held.to("meta"),
    "text": lambda held: "weights",
    "list": lambda held: held.flatten().tolist()[:1],
    "none": lambda held: None,
}
zips = ["size", "encrypt", "method", "bomb", "pickle", "deep", "names"]
cases = st.one_of(
    st.tuples(st.just("bytes"), damages),
    st.tuples(st.just("tensor"), st.tuples(places, st.sampled_from(sorted(tensors)))),
    st.tuples(st.just("name"), st.tuples(places, st.sampled_from(["", "x", "module.module.", "head.weight", 7, None]))),
    st.tuples(st.just("drop"), places),
    st.tuples(st.just("zip"), st.sampled_from(zips)),
    st.tuples(st.just("whole"), st.sampled_from(["code", "legacy", "model", "list", "nested", "number"])),
    st.tuples(st.just("legacy bytes"), damages),
)


def saved(held, **how):
    written = io.BytesIO()
    torch.save(held, written, **how)
    return written.getvalue()


def made(weights, whole, kind, how, trap):
    """Return the bytes of a file, which are `whole` as it was saved, after somebody damaged, edited or forged it."""
    if kind == "bytes":
        return damaged(whole, how)
    if kind == "legacy bytes":
        return damaged(saved(weights, _use_new_zipfile_serialization=False)[:3000], how)
    if kind == "zip":
        return repacked(whole, how, trap)
    if kind == "whole":
        return {
            "code": lambda: saved({**weights, "x": Runs(trap)}),
            "legacy": lambda: saved({"state_dict": Runs(trap)}, _use_new_zipfile_serialization=False),
            "model": lambda: saved(torch.nn.Linear(2, 2)),
            "list": lambda: saved(list(weights.values())),
            "nested": lambda: saved({"state_dict": {"state_dict": weights}}),
            "number": lambda: saved(1),
        }[how]()
    share = how if kind == "drop" else how[0]
    name = list(weights)[int(share * len(weights))]
    held = dict(weights)
    if kind == "tensor":
        held[name] = tensors[how[1]](held[name])
    else:
        tensor = held.pop(name)
        if kind == "name":
            held[how[1] + name if how[1] == "module.module." else how[1]] = tensor
    return saved(held)


def repacked(content, how, trap):
    at = content.find(b"PK\1\2")
    if how in ("size", "encrypt", "method"):
        place, n, value = {"size": (24, 4, 2**32 - 2), "encrypt": (8, 2, 1), "method": (10, 2, 14)}[how]
        return content[: at + place] + value.to_bytes(n, "little") + content[at + place + n :]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(held)).partition("/")[0]
    if how == "bomb":
        held[f"{root}/data/0"] = bytes(1 << 28)
    elif how == "pickle":
        held[f"{root}/data.pkl"] = pickle.dumps({"x": Runs(trap)}, protocol=2)
    elif how == "deep":
        held[f"{root}/data.pkl"] = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    elif how == "names":
        held = {f"../{name}": data for name, data in held.items()}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED if how == "bomb" else zipfile.ZIP_STORED) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return written.getvalue()


@sizes
def test_released_weights_that_were_damaged_or_forged_are_refused_and_never_executed(n_cases, tmp_path, weights):
    path, trap = tmp_path / "released.pth", tmp_path / "executed"
    whole = saved(weights)
    path.write_bytes(whole)
    end, undisturbed = outcome(read, path)
    assert end != ERROR, undisturbed

    def tried(case):
        path.write_bytes(made(weights, whole, *case, trap))
        ended = outcome(read, path)
        assert not trap.exists()
        return ended

    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=True))
