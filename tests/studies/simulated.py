"""A simulated study with every kind of output, every verdict, failed and missing runs, and hostile names."""

import itertools
import math
import random

from softtargets.studies.lukasik2020.curves import LossCurves
from softtargets.studies.outputs import KINDS
from softtargets.studies.outputs.curves import Curve
from softtargets.studies.outputs.density import Density, DensityOutput
from softtargets.studies.records import CellKey, CellRecord, DataSummary, Reported, Verdict
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Study

LEVELS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8)
METRICS = ("train.accuracy", "clean.accuracy", "noisy.accuracy", "noisy.fit")
HOSTILE = "<img src=x onerror=alert(1)>"
TITLES = {
    "figure1": ("Figure 1", "curves"),
    "figure2": ("Figure 2", "sweep"),
    "table3": ("Table 3", "table"),
    "table4": ("Table 4", "table"),
    "figure3": ("Figure 3", "density"),
    "table9": ("Table 9", "table"),
}


def simulate(*, hostile: bool = False, seeds: int = 5) -> StudyResults:
    evil = HOSTILE if hostile else ""
    study = Study.parse(_study(evil))
    cells = tuple(_cells(seeds, evil))
    return StudyResults(
        study=study,
        scale="desk",
        outputs=tuple(TITLES),
        command=f"softtargets run simulated --scale desk{evil}",
        data=(
            DataSummary(f"digits{evil}", "5f0c" * 16, 10, (1, 8, 8), {"train": 1437, "validation": 180, "test": 180}),
        ),
        differs=(*study.differs, *study.scales["desk"].differs),
        cells=cells,
        verdicts=_verdicts(study),
        reported=tuple(_reported(evil)),
        shown={
            "figure1": LossCurves(tuple(_curves())),
            "figure3": DensityOutput(tuple(_densities())),
            **{name: KINDS[study.outputs[name].kind]() for name in ("figure2", "table3", "table4", "table9")},
        },
    )


def _study(evil: str) -> dict:
    outputs = {
        "figure1": {"arms": ("ls", "fc", "bc"), "noise": (0.0, 0.2, 0.4)},
        "figure2": {"arms": ("ls", "fc", "bc"), "levels": "all", "noise": (0.2,), "metrics": ("test.accuracy",)},
        "table3": {
            "arms": ("ls",),
            "levels": "all",
            "noise": (0.4, 0.6),
            "metrics": ("test.accuracy",),
            "rows": "level",
            "columns": "noise",
        },
        "table4": {
            "arms": ("ls",),
            "levels": (0.0, 0.1, 0.2),
            "noise": (0.2,),
            "metrics": METRICS,
            "rows": "level",
            "columns": "metric",
        },
        "figure3": {
            "arms": ("base", "ls", "fc", "bc"),
            "levels": (0.2,),
            "noise": (0.2,),
            "metrics": ("gap.true", "gap.observed"),
        },
        "table9": {"unavailable": f"needs ImageNet, which is not at hand{evil}"},
    }
    captions = {
        "figure1": "The three losses of one example as its logit moves, at three noise rates.",
        "figure2": f"Test accuracy on clean labels against the level, trained with 20 % label noise.{evil}",
        "table3": "Test accuracy at higher noise rates.",
        "table4": "Accuracy on the parts of the training data whose labels were kept (clean) and changed (noisy).",
        "figure3": "Logit of the true label and of the observed label over the mean logit, on the changed examples.",
        "table9": "A table that this study cannot fill.",
    }
    for name, (title, kind) in TITLES.items():
        outputs[name] |= {"title": title, "caption": captions[name], "kind": kind}
    terms = ({"arm": "ls", "level": 0.1, "noise": 0.2, "metric": "test.accuracy", "weight": 1.0},)
    terms += ({"arm": "base", "level": 0.0, "noise": 0.2, "metric": "test.accuracy", "weight": -1.0},)
    high = tuple({**term, "noise": 0.4, "level": 0.2 if term["level"] else 0.0} for term in terms)
    claims = [
        ("ls", "Label smoothing significantly improves accuracy over the baseline.", "figure2", terms, {}),
        ("high", "A similar trend holds for higher levels of label noise.", "table3", high, {}),
        ("bc", "Backward correction (BC) is worse than baseline for small α.", "figure2", terms, {"relation": "<"}),
        (
            "even",
            "Label smoothing is often competitive with loss correction.",
            "figure2",
            terms,
            {"relation": "equivalent"},
        ),
        ("none", f"We observe similar denoising effects on ImageNet in Table 2.{evil}", "table9", (), {}),
    ]
    return {
        "schema_version": 1,
        "name": "simulated",
        "title": f"Does label smoothing mitigate label noise?{evil}",
        "question": "Can label smoothing mitigate label noise, although it minimises another loss?",
        "paper": {
            "authors": "M. Lukasik, S. Bhojanapalli, A. K. Menon and S. Kumar",
            "title": "Does label smoothing mitigate label noise?",
            "year": 2020,
            "venue": "ICML",
            "url": "javascript:alert(1)" if evil else "https://arxiv.org/abs/2003.02819",
        },
        "differs": ("The paper trains ResNets on CIFAR; this study trains what the scale says.",),
        "baseline": "base",
        "arms": {
            "base": {"label": "Baseline", "objective": {"name": "cross_entropy"}},
            "ls": {"label": f"Label smoothing{evil}", "objective": {"name": "smoothed"}, "sweep": "smoothing"},
            "fc": {"label": "Forward correction", "objective": {"name": "forward"}, "sweep": "noise_rate"},
            "bc": {"label": "Backward correction", "objective": {"name": "backward"}, "sweep": "noise_rate"},
        },
        "scales": {
            "desk": {
                "seeds": 5,
                "levels": {"all": LEVELS},
                "run": {},
                "differs": (
                    "digits (8×8 grey images, 10 classes) in place of CIFAR-10 and CIFAR-100.",
                    f"An MLP.{evil}",
                ),
            }
        },
        "outputs": outputs,
        "claims": [
            {
                "id": f"{name}{evil}",
                "quote": quote,
                "where": "Sec. 4.1, p. 5",
                "output": output,
                "terms": terms_,
                "reading": "Test accuracy of smoothing at 0.1 is above that of the baseline at 20 % noise.",
                **extra,
                **({"margin": 0.01} if extra.get("relation") == "equivalent" else {}),
                **({} if terms_ else {"not_run": "needs ImageNet"}),
            }
            for name, quote, output, terms_, extra in claims
        ],
    }


def _cells(seeds: int, evil: str):
    draw = random.Random(0)
    places = [CellKey("base", 0.0, noise) for noise in (0.2, 0.4, 0.6)]
    places += [CellKey(arm, level, 0.2) for arm in ("ls", "fc", "bc") for level in LEVELS[1:]]
    places += [CellKey("ls", level, noise) for noise in (0.4, 0.6) for level in LEVELS[1:]]
    for key in places:
        gain = {"base": 0.0, "ls": 0.05, "fc": 0.08, "bc": -0.09}[key.arm] * math.sin(3 * key.level)
        for seed in range(seeds):
            common = {
                "key": key,
                "seed": seed,
                "run_id": f"{draw.getrandbits(256):064x}",
                "specification": {
                    "data": {"name": "digits"},
                    "model": {"name": "mlp", "widths": [64, 64]},
                    "objective": {"name": key.arm, "level": key.level},
                    "noise": {"name": "symmetric", "rate": key.noise},
                    "seeds": {"init": seed, "order": seed + 1000},
                },
            }
            if key == ("fc", 0.6, 0.2) and seed == 3:
                yield CellRecord(**common, status="failed", reason=f"NaN loss at step 12{evil}")
                continue
            if key == ("ls", 0.8, 0.6):
                yield CellRecord(**common, status="missing")
                continue
            accuracy = 0.93 - float(key.noise) / 3 + gain + draw.gauss(0, 0.008)
            yield CellRecord(
                **common,
                status="complete",
                metrics={
                    "test.accuracy": accuracy,
                    "train.accuracy": accuracy - 0.02,
                    "clean.accuracy": accuracy + 0.03,
                    "noisy.accuracy": accuracy - 0.3,
                    "noisy.fit": 0.18 - gain,
                    "gap.true": 4.0 + 10 * gain,
                    "gap.observed": 1.0 - 5 * gain,
                },
                seconds=1.5 + draw.random(),
                environment={
                    "processor": "Simulated CPU, 2 cores",
                    "python": "3.11.9",
                    "torch": "2.8.0",
                    "softtargets": "0.1.0",
                },
            )


def _verdicts(study: Study) -> tuple[Verdict, ...]:
    ls, high, bc, even, none = study.claims
    return (
        Verdict(ls, "reproduced", 0.0312, 0.0151, 0.0473, 0.0004, 0.99, 5),
        Verdict(high, "inconclusive", 0.0081, -0.0102, 0.0264, 0.21, 0.95, 5, leaning="towards the claim"),
        Verdict(bc, "contradicted", 0.0218, 0.0042, 0.0394, 0.012, 0.9833, 5),
        Verdict(even, "inconclusive", 0.0074, -0.0021, 0.0169, 0.4, 0.95, 5, leaning="towards the claim"),
        Verdict(none, "not run", reason="needs ImageNet"),
    )


def _reported(evil: str):
    where = {"dataset": f"CIFAR-100{evil}", "model": "ResNet-32"}
    table = {0.0: (77.39, 86.75, 39.92, 17.88), 0.1: (80.11, 87.99, 48.58, 12.27), 0.2: (81.22, 88.27, 53.01, 8.32)}
    for level, values in table.items():
        for metric, value in zip(METRICS, values, strict=True):
            key = CellKey("ls" if level else "base", level, 0.2)
            yield Reported(
                "table4", **where, key=key, metric=metric, mean=value / 100, sd=None, n=None, source="Table 4"
            )
    for level, value in zip(LEVELS, (50.67, 51.2, 52.86, 55.90, 56.49, 54.98), strict=True):
        key = CellKey("ls" if level else "base", level, 0.4)
        yield Reported(
            "table3", **where, key=key, metric="test.accuracy", mean=value / 100, sd=0.004, n=3, source="Table 3"
        )


def _densities():
    bins = 60
    edges = tuple(-6 + 18 * i / bins for i in range(bins + 1))
    centres = {"base": (3.0, 2.0), "ls": (2.6, 0.9), "fc": (5.5, 2.1), "bc": (4.6, 1.8)}
    for arm, means in centres.items():
        for metric, mean in zip(("gap.true", "gap.observed"), means, strict=True):
            middle = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
            width = {"base": 1.5, "ls": 0.7, "fc": 2.2, "bc": 1.9}[arm]
            heights = [math.exp(-(((x - mean) / width) ** 2) / 2) / (width * math.sqrt(2 * math.pi)) for x in middle]
            key = CellKey(arm, 0.2 if arm != "base" else 0.0, 0.2)
            yield Density(key, metric, edges, tuple(heights), mean, 1435)


def _curves():
    logits = tuple(-5 + i / 10 for i in range(101))
    for arm, sign in (("ls", 1.0), ("fc", 0.0), ("bc", -1.0)):
        for noise in (0.0, 0.2, 0.4):
            heights = tuple(math.log1p(math.exp(-z)) + sign * noise * z / 2 for z in logits)
            yield Curve(arm, noise, logits, heights)
