"""The one table of methods: networks and classical methods that run here, and those that are only quoted.

A method is added with its file in `models/` and one entry here. Everything else that a method needs follows from the
entry: which settings mean something to it, what is computed beforehand, what the tables and `mer models` print.
The entry is checked when the table is made, and against the network's class when one is built. A method from outside
the package has no entry: its entry is made of what its run records (`foreign`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Literal

from mer_cli.errors import ConfigError, unknown_name
from mer_cli.motion.inputs import CANONICAL, DescriptorInput, MotionInput, PairInput, ViewInput
from mer_cli.runs.foreign import Foreign
from mer_cli.runs.variants import RECIPES, VARIANTS

MMNET = "mmnet"  # name of the network, and of its variant that the paper proposes
OURS = "this project; not published"  # the paper of a method that was made here
PUBLISHED = "published"  # name of the recipe, for every method with a single recipe

Form = Literal["as published", "variant", "ours", "quoted only", "own", "trained outside mer"]
Kind = Literal["network", "classical", "learner", "estimator", "predictions", "quoted"]
Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Method:
    """A method of micro-expression recognition: published, and built in or only quoted; or your own.

    name : value of `mer train --model`; for a method that is only quoted, a short name that we chose
    grade : how much of the method is public: "A" all, "A-" all but a detail that we chose, "B" it needs labels or
        weights that can be obtained, "C" it needs something that is not public
    input : what the method sees of a clip, in words; for a descriptor also the length of its vector
    year : of the publication; None if it was not looked up
    note : why the method does not run here, or how it differs from the publication
    is_variant : whether what runs here differs in more than a detail: other weights, another input, a part left out
    code : "module:name" in `mer_cli.models`, the network's class or the descriptor's function; "" if only quoted
    sees : what the method sees of a clip, as an object that the program reads
    recipes : settings by the recipe's name; the first recipe is the default
    source : where the numbers of the recipes come from, and which of them we chose
    variants : for each named form of the network, the settings that it changes; empty for all methods but MMNet
    foreign : the record of a method from outside the package; None for a method of the table
    revision : counts the versions of the method's code that give other logits. It is part of a run's settings, so that
        earlier runs are read, but not continued
    averages : whether the network averages answers, and so must be told what kind they are (`predicts_units`)
    """

    name: str
    title: str
    grade: Literal["A", "A-", "B", "B-", "C", ""]
    input: str
    paper: str
    year: int | None
    note: str = ""
    is_variant: bool = False
    code: str = ""
    sees: PairInput | MotionInput | DescriptorInput | ViewInput = field(default_factory=PairInput)
    recipes: Mapping[str, Settings] = field(default_factory=dict)
    source: str = ""
    variants: Mapping[str, Settings] = field(default_factory=dict)
    foreign: Foreign | None = None
    revision: int = 1
    averages: bool = False

    def __post_init__(self) -> None:
        forgotten = [name for name in ("recipes", "source") if not getattr(self, name)] if self.code else []
        if forgotten:
            raise ValueError(f"method {self.name} has code but no {forgotten[0]}: complete its entry")

    @property
    def kind(self) -> Kind:
        """A network, a descriptor with a support-vector machine ("classical"), only quoted, or your own's door."""
        if self.foreign:
            return self.foreign.door
        if not self.code:
            return "quoted"
        return "classical" if isinstance(self.sees, DescriptorInput) else "network"

    @property
    def is_network(self) -> bool:
        """Whether mer trains the method as a network, with epochs and weights."""
        return self.kind == "network"

    @property
    def is_random(self) -> bool:
        """Whether the seed has an effect on the method, as on all but classical ones; that of predictions is stated."""
        return self.kind in ("network", "learner", "estimator", "predictions")

    @property
    def sees_motion(self) -> bool:
        """Whether the method is a network on motion, `MotionInput`; it is small, so one thread trains a fold."""
        return isinstance(self.sees, MotionInput)

    @property
    def groups(self) -> frozenset[str]:
        """Groups of settings that have an effect on the method (keys of `config.GROUPS`)."""
        of_all = frozenset({"method", "protocol"})
        if self.kind == "predictions":
            return of_all
        if self.kind == "estimator":
            return (self.sees.groups - {"svm"}) | of_all
        return self.sees.groups | of_all | ({"parts"} if self.variants else set())

    @property
    def history_columns(self) -> tuple[str, ...]:
        """Columns of a fold's `history.csv` after the epoch; `inner_uf1` is the UF1 that C was chosen by."""
        columns: dict[Kind, tuple[str, ...]] = {
            "network": ("loss", "learning_rate", "seconds"),
            "classical": ("C", "inner_uf1", "seconds"),
            "learner": ("loss", "seconds"),
            "estimator": ("seconds",),
        }
        return columns.get(self.kind, ())

    @property
    def form(self) -> Form:
        """What runs here, compared with the publication if there is one: the same, a variant, only the quotation."""
        if self.foreign:
            return "trained outside mer" if self.kind == "predictions" else "own"
        if not self.code:
            return "quoted only"
        if self.paper == OURS:
            return "ours"
        return "variant" if self.is_variant else "as published"

    @property
    def command(self) -> str:
        """The command line that trains the method; "" if the method is only quoted."""
        return f"mer train --loso --model {self.name}" if self.code else ""

    def load(self) -> Any:
        """Import and return the network's class, the descriptor's function, or the code of your own method.

        Raises
        ------
        TypeError
            If the `INPUT` of a built-in network's class differs from `sees`.
        ConfigError
            If the code of your own method was not named in this process (`own_code.remember`).
        """
        if self.foreign:
            from mer_cli.runs.own_code import load

            return load(self.foreign)
        module, _, name = self.code.partition(":")
        found = getattr(import_module(f"mer_cli.models.{module}"), name)
        if self.is_network and getattr(found, "INPUT", PairInput()) != self.sees:
            raise TypeError(f"{self.code}.INPUT is not what the entry of {self.name} in runs/methods.py says")
        return found

    def build(self, n_classes: int, /, **options: Any) -> Any:
        """Return a freshly initialised network, a torch module that returns logits, (B, n_classes).

        Its forward pass takes an onset and an apex, each (B, 3, 224, 224) float. A network on motion takes one image,
        (B, P, S, S), instead, and also the graph of action units, (A, A), if `sees` names units.

        Parameters
        ----------
        options : keyword arguments of the network's class
        """
        return self.load()(n_classes, **options)

    @property
    def describe(self) -> Callable[..., Any]:
        """The function that computes a descriptor's float32 vector from the arrays in `sees.arrays`."""
        if self.foreign:
            return METHODS[self.foreign.features].describe
        function: Callable[..., Any] = self.load()
        return function


def _on_motion(
    optimiser: Literal["adam", "sgd"], learning_rate: float, epochs: int, batch_size: int, **others: Any
) -> dict[str, Settings]:
    """Return the recipe of a network on motion: the loss is cross-entropy, and no image is augmented.

    The optimiser's weight decay is its own, not decoupled; sgd uses momentum 0.9; the rate decays to the end.
    """
    own = {"optimiser": optimiser, "learning_rate": learning_rate, "epochs": epochs, "batch_size": batch_size}
    plain = {"weight_decay": 0.0, "decay": 1.0, "decay_epochs": epochs}
    unchanged = {"flip": 0.0, "rotation": 0.0, "padding": 0, "frame_jitter": "none"}
    return {PUBLISHED: own | plain | unchanged | others}


def _described(**settings: Any) -> dict[str, Settings]:
    """Return the recipe of a classical method, which is learnt in one pass, on the processor, in float32."""
    machine = {"device": "cpu", "precision": "fp32", "compile": "off"}
    return {PUBLISHED: {"epochs": 1, "decay_epochs": 0} | machine | settings}


_OF_PARTS = {"n_layers", "mlp_ratio", "stochastic_depth"}  # settings in a recipe that only MMNet has
_OF_IMAGES = {
    recipe: {name: value for name, value in settings.items() if name not in _OF_PARTS}
    for recipe, settings in RECIPES.items()
}
# Ten flows a clip: TV-L1 would take minutes where the fast one takes seconds.
_OF_FLOWS = _described(flow="fast", clip_frames=10)
_AS_RELEASED = "muse1998/MMNet; what the paper does not state is taken from its script"
_AS_PUBLISHED = "the descriptor's paper; C is chosen on the training subjects"

_ALL = (
    Method(
        *("mmnet", "MMNet", "A", "onset and apex, 224x224 RGB", "IJCAI 2022 (arXiv 2201.05297)", 2022),
        code="mmnet:MMNet",
        recipes=RECIPES,
        source=_AS_RELEASED,
        variants=VARIANTS,
    ),
    Method(
        *("ststnet", "STSTNet", "A", "u, v, strain at 28x28", "FG 2019 (arXiv 1902.03634)", 2019),
        code="ststnet:STSTNet",
        sees=MotionInput(28),
        recipes=_on_motion("adam", 5e-5, 500, 256, normalisation="minmax8"),
        source="paper (500 epochs) and christy1206/STSTNet main.py, which runs 800",
    ),
    Method(
        *("offapexnet", "OFF-ApexNet", "A", "u and v at 28x28"),
        "Signal Processing: Image Communication 2019 (arXiv 1805.08699)",
        2019,
        "layers of a re-implementation; flow computed at 224x224, stretched to 0..255 as in STSTNet's code",
        is_variant=True,
        code="offapexnet:OFFApexNet",
        sees=MotionInput(28, ("u", "v")),
        recipes=_on_motion("adam", 1e-4, 3000, 64, normalisation="minmax8"),
        source="paper and STSTNet's table V; MEB adds weight decay 1e-3",
    ),
    Method(
        *("sssnet", "SSSNet", "A", "u, v, strain at 64x64", "IEEE TAC 2023 (arXiv 2211.11425)", 2023),
        "another flow: MEB's is classic+NL",
        is_variant=True,
        code="sssnet:SSSNet",
        sees=MotionInput(64),
        recipes=_on_motion("adam", 1e-4, 200, 32, weight_decay=1e-3, normalisation="minmax"),
        source="tvaranka/meb; batches there are 32 to 256",
    ),
    Method(
        *("resnet18-flow", "ResNet-18 on flow", "A", "u, v, strain at 112x112"),
        "IEEE TAC 2023 (arXiv 2211.11425), as a baseline",
        2023,
        "no ImageNet weights; another flow: MEB's is classic+NL",
        is_variant=True,
        code="resnet18:ResNet18Flow",
        sees=MotionInput(112),
        recipes=_on_motion("adam", 1e-4, 50, 32, weight_decay=1e-3, normalisation="minmax"),
        source="tvaranka/meb",
    ),
    Method(
        *("resnet18-diff", "ResNet-18 on apex minus onset", "A", "onset and apex, 224x224 RGB"),
        "CVPR 2016",
        2016,
        "trained as MMNet is; MMNet's baseline has four of its eight blocks",
        is_variant=True,
        code="resnet18:ResNet18Difference",
        recipes=_OF_IMAGES,
        source=_AS_RELEASED,
    ),
    Method(
        *("rcn-a", "RCN-A", "A", "u, v, strain at 60x60", "IEEE TIP 2020 (arXiv 2006.09674)", 2020),
        code="rcn:RCNA",
        sees=MotionInput(60),
        recipes=_on_motion("sgd", 5e-4, 20, 64, normalisation="minmax"),
        source="xiazhaoqiang/ParameterFreeRCNs-MicroExpressionRec, whose schedule of the rate is never stepped",
    ),
    Method(
        *("dual-inception", "Dual-Inception", "A", "u and v at 28x28", "FG 2019", 2019),
        "layers of a re-implementation; flow computed at 224x224, and normalised",
        is_variant=True,
        code="dual_inception:DualInception",
        sees=MotionInput(28, ("u", "v")),
        recipes=_on_motion("adam", 1e-3, 500, 64),
        source="ECNU-Cross-Innovation-Lab/PRICAI2021-Off-TANet train_arg.py",
        revision=2,  # 2: no ReLU in the 1x1 path
    ),
    Method(
        *("canonical-cnn", "Canonical flow + CNN", "", "u and v of the canonical flow at 16x16", OURS, None),
        "three small networks averaged; a clip and its mirror image get the same answer",
        code="canonical_cnn:CanonicalCNN",
        sees=MotionInput(16, ("u", "v")),
        recipes=_on_motion("adam", 3e-3, 25, 32, weight_decay=1e-4, input=CANONICAL, flow="fast"),
        source="ours, chosen on generated faces (docs/canonical.md)",
        averages=True,
    ),
    Method(
        *("dssn", "DSSN", "A-", "u, v, strain, magnitude at 227x227", "ICIP 2019", 2019),
        "random weights; the published network starts from ImageNet's (CaffeNet)",
        is_variant=True,
        code="dssn:DSSN",
        sees=MotionInput(227, ("u", "v", "strain", "magnitude")),
        recipes=_on_motion("adam", 1e-4, 15, 32, normalisation="minmax"),
        source="Justin900429/PyTorch-DSSN-MER",
    ),
    Method(
        *("tscnn-lite", "TSCNN-lite", "A-", "apex, its 16 blocks, u and v at 48x48"),
        "IEEE Access 2019, sizes of SKD-TSTSAN (arXiv 2406.17538)",
        2019,
        "no FER2013 pretraining, no flow to the offset, cross-entropy in place of a focal loss weighted by class",
        is_variant=True,
        code="tscnn:TSCNNLite",
        sees=MotionInput(48, ("apex", "apex-grid", "u", "v")),
        recipes=_on_motion("adam", 1e-3, 100, 16, weight_decay=5e-4),
        source="SKD-TSTSAN; the epochs are ours, its 20,000 steps would be some 1,300",
    ),
    Method(
        *("augcn-flow", "AU-GCN on flow", "B", "30 landmark patches of flow magnitude, 7x7 at 128x128; AU labels"),
        "CVPR Workshops 2021",
        2021,
        "no magnified images (MagNet)",
        is_variant=True,
        code="augcn:AUGCNFlow",
        sees=MotionInput(7, ("patches",), units=(1, 2, 4, 10, 12, 14, 15, 17, 25)),
        recipes=_on_motion("adam", 1e-4, 15, 32),
        source="Justin900429's re-implementation; the authors' batch is 64",
        revision=2,  # 2: the graph is conditioned on the column's unit, as the authors' is
    ),
    Method(
        *("di-resnet18", "ResNet-18 on a dynamic image", "A", "dynamic image of the whole clip, 224x224 RGB"),
        "Neurocomputing 2021, as an ablation of GEME",
        2021,
        "GEME with one task: no gender, no second stream; no ImageNet weights; settings ours",
        is_variant=True,
        code="resnet18:ResNet18Dynamic",
        sees=MotionInput(224, ("dynamic",)),
        recipes=_on_motion("adam", 1e-4, 50, 32),
        source="ours; GEME's own are not public",
    ),
    Method(
        *("flow-svm", "Flow + SVM", "A", "u, v, strain at 32x32: 3,072 numbers"),
        "IEEE TAC 2023 (arXiv 2211.11425), as a baseline",
        2023,
        "features standardised, C chosen on the training subjects; the original stretches each plane and has C = 28",
        is_variant=True,
        code="descriptors.flow_pixels:flow_pixels",
        sees=DescriptorInput(("flow",), kernel="rbf"),
        recipes=_described(),
        source=_AS_PUBLISHED,
    ),
    Method(
        *("canonical-svm", "Canonical flow + SVM", "", "u and v of the canonical flow at 16x16: 512 numbers", OURS),
        None,
        "every step of the input can be left out (--input)",
        code="descriptors.flow_grid:flow_grid",
        sees=DescriptorInput(("flow",)),
        recipes=_described(input=CANONICAL, flow="fast", scale="one"),
        source="ours, chosen on generated faces (docs/canonical.md)",
    ),
    Method(
        *("bi-woof", "Bi-WOOF", "A", "flow and strain, 5x5 blocks, 8 directions: 200 numbers"),
        "Signal Processing: Image Communication 2018 (arXiv 1606.01721)",
        2018,
        code="descriptors.bi_woof:bi_woof",
        sees=DescriptorInput(("flow",)),
        recipes=_described(),
        source=_AS_PUBLISHED,
    ),
    Method(
        *("hoof", "HOOF", "A-", "flow of the whole clip, 5x5 blocks, 8 directions: 200 numbers"),
        "CVPR 2009",
        2009,
        "blocks, number of directions and mean over time ours",
        is_variant=True,
        code="descriptors.hoof:hoof",
        sees=DescriptorInput(("flows",)),
        recipes=_OF_FLOWS,
        source=_AS_PUBLISHED,
    ),
    Method(
        *("fhoof", "FHOOF", "A-", "flow of the whole clip, 5x5 blocks, 18 fuzzy directions: 450 numbers"),
        "IEEE TAC 2019",
        2019,
        "blocks and mean over time ours",
        is_variant=True,
        code="descriptors.hoof:fhoof",
        sees=DescriptorInput(("flows",)),
        recipes=_OF_FLOWS,
        source=_AS_PUBLISHED,
    ),
    Method(
        *("fhofo", "FHOFO", "A-", "flow of the whole clip, as FHOOF but for the magnitude: 450 numbers"),
        "IEEE TAC 2019",
        2019,
        "blocks and mean over time ours",
        is_variant=True,
        code="descriptors.hoof:fhofo",
        sees=DescriptorInput(("flows",)),
        recipes=_OF_FLOWS,
        source=_AS_PUBLISHED,
    ),
    Method(
        *("mdmo", "MDMO", "A-", "flow of the whole clip, 36 regions by landmarks: 72 numbers"),
        "IEEE TAC 2016",
        2016,
        "regions second-hand; vectors are averaged over time, all frames with the same weight",
        is_variant=True,
        code="descriptors.mdmo:mdmo",
        sees=DescriptorInput(("flows", "landmarks")),
        recipes=_OF_FLOWS,
        source=_AS_PUBLISHED,
    ),
    Method(
        *("lbp-top", "LBP-TOP", "A", "whole clip, grey, 5x5 blocks: 4,425 numbers"),
        "PLoS ONE 2014, CASME II",
        2014,
        "8 neighbours, the paper reportedly uses 4; clips of fewer than 10 frames interpolated",
        is_variant=True,
        code="descriptors.lbp_top:lbp_top",
        sees=DescriptorInput(("frames",), min_frames=10),
        recipes=_described(),
        source=_AS_PUBLISHED,
    ),
    Method(
        *("higo-top", "HIGO-TOP", "A-", "whole clip, grey, 10 frames, 8x8x2 blocks: 3,072 numbers"),
        "IEEE TAC 2018",
        2018,
        "grid second-hand; no motion magnification",
        is_variant=True,
        code="descriptors.higo_top:higo_top",
        sees=DescriptorInput(("frames",), min_frames=4),
        recipes=_described(clip_frames=10, interpolation="tim"),
        source=_AS_PUBLISHED,
    ),
    Method(
        *("tscnn", "TSCNN", "C", "apex, its blocks, flow", "IEEE Access 2019", 2019),
        "FER2013 pretraining; sizes not public",
    ),
    Method("skd-tstsan", "SKD-TSTSAN", "B", "48x48, magnified", "arXiv 2406.17538", 2024, "magnification weights"),
    Method(
        *("au-gcn", "AU-GCN", "B", "30 landmark patches, magnified; AU labels", "CVPR Workshops 2021", 2021),
        "magnification weights (MagNet)",
    ),
    Method("geme", "GEME", "C", "dynamic image", "Neurocomputing 2021", 2021, "gender labels; second stream"),
    Method("capsulenet", "CapsuleNet", "A-", "apex, 224x224 RGB", "FG 2019", 2019, "not built"),
    Method("htnet", "HTNet", "A", "four crops of a 28x28 image of motion", "arXiv 2307.14637", 2023, "not built"),
    Method("slstt", "SLSTT", "B", "11 images of flow at 384", "", None, "ViT weights"),
    Method("graph-tcn", "Graph-TCN", "C", "28 landmark patches, magnified", "ACM MM 2020", 2020, "sizes not public"),
    Method("au-gacn", "AU-GACN", "C", "", "ACM MM 2020", 2020, "synthetic data; results only were released"),
    Method("mtmnet", "MTMNet", "C", "apex images", "ACM MM 2020", 2020, "no code; macro-expression data"),
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

METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}
LIVE = tuple(method for method in _ALL if method.code)


def find_method(name: str, flag: str = "--model") -> Method:
    """Return the built-in method `name`, which must run here.

    Raises
    ------
    ConfigError
        If there is no such method, or it is only quoted; the message begins with `flag`.
    """
    method = METHODS.get(name)
    if method is None:
        known = [live.name for live in LIVE]
        raise ConfigError(
            f"{flag}: {unknown_name('method', name, known)} For your own: {flag} FILE.py:CLASS or MODULE:CLASS."
        )
    if not method.code:
        raise ConfigError(
            f"{flag}: {method.title} is only quoted and can't be run here: {method.note}. `mer models` lists what can."
        )
    return method


@cache
def method_of(name: str, foreign: Foreign) -> Method:
    """Return the method of a record; the same object for the same record.

    Parameters
    ----------
    name : the method's short name, which a run records as its `model`
    """
    of_descriptor = next(iter(METHODS[foreign.features].recipes.values())) if foreign.features else {}
    return Method(
        name,
        foreign.title,
        grade="",
        input="",
        paper="",
        year=None,
        code=foreign.code,
        sees=foreign.sees,
        recipes={foreign.recipe_name: {**foreign.recipe, **of_descriptor, **foreign.settings}},
        source=foreign.code,
        foreign=foreign,
    )
