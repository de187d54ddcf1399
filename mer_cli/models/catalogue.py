"""The methods of the field as data: those that there is a network of here, and those whose numbers are only quoted.

A number of parameters is that of the network as it is built; of a quoted method nobody can count it here. No torch
before one is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mer_cli.models import NETWORKS, build_model

N_CLASSES = (3, 5)


@dataclass(frozen=True)
class Method:
    """A method.

    name : of `mer train --model`; of a quoted method a short one of ours
    grade : "A" fully specified, "A-" but for a detail that is ours, "B" needs labels or weights that can be had, "C"
        needs what is not public
    input : what it sees of a clip
    year : of the publication; None where we have not seen it
    note : what keeps it from running here, or what differs
    """

    name: str
    title: str
    grade: Literal["A", "A-", "B", "B-", "C"]
    input: str
    paper: str
    year: int | None
    note: str = ""

    @property
    def kind(self) -> Literal["network", "quoted"]:
        return "network" if self.name in NETWORKS else "quoted"

    @property
    def command(self) -> str:
        """What trains it; "" where nothing does."""
        return f"mer train --loso --model {self.name}" if self.kind == "network" else ""


METHODS = (
    Method("mmnet", "MMNet", "A", "onset and apex, 224x224 RGB", "IJCAI 2022 (arXiv 2201.05297)", 2022),
    Method("ststnet", "STSTNet", "A", "u, v, strain at 28x28", "FG 2019 (arXiv 1902.03634)", 2019),
    Method(
        *("offapexnet", "OFF-ApexNet", "A", "u and v at 28x28"),
        "Signal Processing: Image Communication 2019 (arXiv 1805.08699)",
        2019,
        "no code of the authors; layers of a re-implementation",
    ),
    Method("sssnet", "SSSNet", "A", "u, v, strain at 64x64", "IEEE TAC 2023 (arXiv 2211.11425)", 2023),
    Method(
        *("resnet18-flow", "ResNet-18 on flow", "A", "u, v, strain at 112x112"),
        "IEEE TAC 2023 (arXiv 2211.11425), as a baseline",
        2023,
        "no ImageNet weights",
    ),
    Method(
        *("resnet18-diff", "ResNet-18 on apex minus onset", "A", "onset and apex, 224x224 RGB"),
        "CVPR 2016, as the baseline of MMNet",
        2016,
        "trained as MMNet is",
    ),
    Method("rcn-a", "RCN-A", "A", "u, v, strain at 60x60", "IEEE TIP 2020 (arXiv 2006.09674)", 2020),
    Method("dual-inception", "Dual-Inception", "A", "u and v at 28x28", "FG 2019", 2019, "layers second-hand"),
    Method("dssn", "DSSN", "A-", "u, v, strain, magnitude at 227x227", "ICIP 2019", 2019, "no ImageNet weights"),
    Method(
        *("tscnn-lite", "TSCNN-lite", "A-", "apex, its 16 blocks, u and v at 48x48"),
        "IEEE Access 2019, sizes of SKD-TSTSAN (arXiv 2406.17538)",
        2019,
        "no FER2013 pretraining, no flow to the offset: not the published TSCNN",
    ),
    Method(
        *("tscnn", "TSCNN", "C", "apex, its blocks, flow", "IEEE Access 2019", 2019),
        "FER2013 pretraining; sizes not public",
    ),
    Method("skd-tstsan", "SKD-TSTSAN", "B", "48x48, magnified", "arXiv 2406.17538", 2024, "magnification weights"),
    Method("au-gcn", "AU-GCN", "B", "30 landmark patches, magnified", "reference 27 of MMNet", None, "AU labels"),
    Method("geme", "GEME", "C", "dynamic image", "reference 28 of MMNet", None, "gender labels, second stream"),
    Method("capsulenet", "CapsuleNet", "A-", "apex, 224x224 RGB", "FG 2019", 2019, "not built"),
    Method("htnet", "HTNet", "A", "four crops of a 28x28 picture of motion", "arXiv 2307.14637", 2023, "not built"),
    Method("slstt", "SLSTT", "B", "11 pictures of flow at 384", "", None, "ViT weights"),
    Method("graph-tcn", "Graph-TCN", "C", "28 landmark patches, magnified", "", None, "sizes not public"),
    Method("au-gacn", "AU-GACN", "C", "", "", None, "synthetic data; results only were released"),
    Method("mtmnet", "MTMNet", "C", "apex pictures", "", None, "no code; macro-expression data"),
    Method("minet-manet", "MiNet&MaNet", "C", "two tasks", "", None, "no code; macro-expression data"),
    Method("gacnn", "GACNN", "C", "graph of landmarks and flow", "", None, "no code"),
    Method("dynamic", "Dynamic", "C", "clip", "", None, "also DIKD; no code; a teacher trained on AUs"),
    Method("sma-stn", "SMA-STN", "C", "segments", "arXiv 2010.09342", 2020, "no code; face-detection pretraining"),
    Method("mersiamc3d", "MERSiamC3D", "C", "adaptive key frames", "", None, "no code"),
    Method("featref", "FeatRef", "B-", "flow at 28x28", "arXiv 2101.04838", 2021, "module sizes unknown"),
    Method("ice-gan", "ICE-GAN", "C", "apex", "", None, "architecture only was released"),
    Method("meranet", "MERANet", "C", "", "", None, "no code found"),
    Method("micron-bert", "Micron-BERT", "C", "", "", None, "pretraining; no training code"),
    Method("strcn", "STRCN-G / A", "B", "flow at 300x245", "", None, "MATLAB; RCN-A came after it"),
)


def method_of(name: str) -> Method:
    """The method of this name."""
    (found,) = (method for method in METHODS if method.name == name)
    return found


def count_parameters(method: Method) -> dict[str, int]:
    """Trained numbers of a network by its number of classes, {"3": ..., "5": ...}; {} of a quoted method."""
    if method.kind == "quoted":
        return {}
    networks = {n: build_model(method.name, n) for n in N_CLASSES}
    return {str(n): sum(part.numel() for part in network.parameters()) for n, network in networks.items()}
