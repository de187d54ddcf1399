"""The methods of the field as data: networks and classical methods that run here, and those that are only quoted.

A number of parameters is that of the network as it is built; of a quoted method nobody can count it here, and a
support-vector machine has none that are fixed beforehand. No torch before one is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mer_cli.models import NETWORKS, build_model
from mer_cli.models.descriptors import DESCRIPTORS

N_CLASSES = (3, 5)

Form = Literal["as published", "variant", "quoted only"]


@dataclass(frozen=True)
class Method:
    """A method.

    name : of `mer train --model`; of a quoted method a short one of ours
    grade : how far public facts go: "A" fully specified, "A-" but for a detail that is ours, "B" needs labels or
        weights that can be had, "C" needs what is not public
    input : what it sees of a clip; of a descriptor, how many numbers it makes of it
    year : of the publication; None where it was not looked up
    note : what keeps it from running here, or what differs
    is_variant : whether what runs here differs in more than a detail: other weights, another input, a part left out
    """

    name: str
    title: str
    grade: Literal["A", "A-", "B", "B-", "C"]
    input: str
    paper: str
    year: int | None
    note: str = ""
    is_variant: bool = False

    @property
    def kind(self) -> Literal["network", "classical", "quoted"]:
        """A network, a descriptor with a support-vector machine, or nothing that runs here."""
        if self.name in NETWORKS:
            return "network"
        return "classical" if self.name in DESCRIPTORS else "quoted"

    @property
    def form(self) -> Form:
        """Whether what runs here is the published method, a variant of it, or nothing."""
        if self.kind == "quoted":
            return "quoted only"
        return "variant" if self.is_variant else "as published"

    @property
    def command(self) -> str:
        """What trains it; "" where nothing does."""
        return "" if self.kind == "quoted" else f"mer train --loso --model {self.name}"


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
        is_variant=True,
    ),
    Method(
        *("resnet18-diff", "ResNet-18 on apex minus onset", "A", "onset and apex, 224x224 RGB"),
        "CVPR 2016",
        2016,
        "trained as MMNet is; MMNet's baseline has four of its eight blocks",
        is_variant=True,
    ),
    Method("rcn-a", "RCN-A", "A", "u, v, strain at 60x60", "IEEE TIP 2020 (arXiv 2006.09674)", 2020),
    Method("dual-inception", "Dual-Inception", "A", "u and v at 28x28", "FG 2019", 2019, "layers second-hand"),
    Method(
        *("dssn", "DSSN", "A-", "u, v, strain, magnitude at 227x227", "ICIP 2019", 2019),
        "random weights, the published one starts from ImageNet's (CaffeNet)",
        is_variant=True,
    ),
    Method(
        *("tscnn-lite", "TSCNN-lite", "A-", "apex, its 16 blocks, u and v at 48x48"),
        "IEEE Access 2019, sizes of SKD-TSTSAN (arXiv 2406.17538)",
        2019,
        "no FER2013 pretraining, no flow to the offset",
        is_variant=True,
    ),
    Method(
        *("augcn-flow", "AU-GCN on flow", "B", "30 landmark patches of flow magnitude, 7x7 at 128x128; AU labels"),
        "CVPR Workshops 2021",
        2021,
        "no magnified pictures (MagNet)",
        is_variant=True,
    ),
    Method(
        *("di-resnet18", "ResNet-18 on a dynamic image", "A", "dynamic image of the whole clip, 224x224 RGB"),
        "Neurocomputing 2021, as an ablation of GEME",
        2021,
        "GEME with one task: no gender, no second stream; no ImageNet weights; settings ours",
        is_variant=True,
    ),
    Method(
        *("flow-svm", "Flow + SVM", "A", "u, v, strain at 32x32: 3,072 numbers"),
        "IEEE TAC 2023 (arXiv 2211.11425), as a baseline",
        2023,
        "features standardised, C chosen on the training subjects: there C is 28, on features as they are",
        is_variant=True,
    ),
    Method(
        *("bi-woof", "Bi-WOOF", "A", "flow and strain, 5x5 blocks, 8 directions: 200 numbers"),
        "Signal Processing: Image Communication 2018 (arXiv 1606.01721)",
        2018,
    ),
    Method(
        *("hoof", "HOOF", "A-", "flow of the whole clip, 5x5 blocks, 8 directions: 200 numbers"),
        "CVPR 2009",
        2009,
        "blocks, number of directions and mean over time ours",
        is_variant=True,
    ),
    Method(
        *("fhoof", "FHOOF", "A-", "flow of the whole clip, 5x5 blocks, 18 fuzzy directions: 450 numbers"),
        "IEEE TAC 2019",
        2019,
        "blocks and mean over time ours",
        is_variant=True,
    ),
    Method(
        *("fhofo", "FHOFO", "A-", "flow of the whole clip, as FHOOF but for the magnitude: 450 numbers"),
        "IEEE TAC 2019",
        2019,
        "blocks and mean over time ours",
        is_variant=True,
    ),
    Method(
        *("mdmo", "MDMO", "A-", "flow of the whole clip, 36 regions by landmarks: 72 numbers"),
        "IEEE TAC 2016",
        2016,
        "regions second-hand; the mean over time is one of vectors, all frames alike",
        is_variant=True,
    ),
    Method(
        *("lbp-top", "LBP-TOP", "A", "whole clip, grey, 5x5 blocks: 4,425 numbers"),
        "PLoS ONE 2014, CASME II",
        2014,
        "8 neighbours, the paper is told to have 4; clips of fewer than 10 frames interpolated",
        is_variant=True,
    ),
    Method(
        *("higo-top", "HIGO-TOP", "A-", "whole clip, grey, 10 frames, 8x8x2 blocks: 3,072 numbers"),
        "IEEE TAC 2018",
        2018,
        "grid second-hand; no motion magnification",
        is_variant=True,
    ),
    Method(
        *("tscnn", "TSCNN", "C", "apex, its blocks, flow", "IEEE Access 2019", 2019),
        "FER2013 pretraining; sizes not public",
    ),
    Method("skd-tstsan", "SKD-TSTSAN", "B", "48x48, magnified", "arXiv 2406.17538", 2024, "magnification weights"),
    Method(
        *("au-gcn", "AU-GCN", "B", "30 landmark patches, magnified; AU labels"),
        "CVPR Workshops 2021",
        2021,
        "magnification weights (MagNet)",
    ),
    Method("geme", "GEME", "C", "dynamic image", "Neurocomputing 2021", 2021, "gender labels; second stream"),
    Method("capsulenet", "CapsuleNet", "A-", "apex, 224x224 RGB", "FG 2019", 2019, "not built"),
    Method("htnet", "HTNet", "A", "four crops of a 28x28 picture of motion", "arXiv 2307.14637", 2023, "not built"),
    Method("slstt", "SLSTT", "B", "11 pictures of flow at 384", "", None, "ViT weights"),
    Method("graph-tcn", "Graph-TCN", "C", "28 landmark patches, magnified", "ACM MM 2020", 2020, "sizes not public"),
    Method("au-gacn", "AU-GACN", "C", "", "ACM MM 2020", 2020, "synthetic data; results only were released"),
    Method("mtmnet", "MTMNet", "C", "apex pictures", "ACM MM 2020", 2020, "no code; macro-expression data"),
    Method("minet-manet", "MiNet&MaNet", "C", "two tasks", "IJCAI 2021", 2021, "no code; macro-expression data"),
    Method("gacnn", "GACNN", "C", "graph of landmarks and flow", "CVPR Workshops 2021", 2021, "no code"),
    Method("dynamic", "Dynamic", "C", "clip", "IEEE TAC 2020", 2020, "also DIKD; no code; a teacher trained on AUs"),
    Method("sma-stn", "SMA-STN", "C", "segments", "arXiv 2010.09342", 2020, "no code; face-detection pretraining"),
    Method("mersiamc3d", "MERSiamC3D", "C", "adaptive key frames", "Neurocomputing 2021", 2021, "no code"),
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


def live_methods() -> tuple[Method, ...]:
    """Those that run here."""
    return tuple(method for method in METHODS if method.kind != "quoted")


def count_parameters(method: Method) -> dict[str, int]:
    """Trained numbers of a network by its number of classes, {"3": ..., "5": ...}; {} of any other method."""
    if method.kind != "network":
        return {}
    networks = {n: build_model(method.name, n) for n in N_CLASSES}
    return {str(n): sum(part.numel() for part in network.parameters()) for n, network in networks.items()}
