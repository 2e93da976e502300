"""Teacher caches: what a teacher says of every example, written once."""

from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from softtargets._checks import check_prior
from softtargets._errors import fail
from softtargets.distill._cache_format import HEAD, MANIFEST, PLAN, held, json_bytes, read_json, write_file
from softtargets.distill._cache_plan import Plan
from softtargets.distill._cache_read import TeacherCache
from softtargets.distill._cache_shards import Batches, write


def write_cache(
    folder: str | PathLike[str],
    batches: Batches,
    *,
    teacher: str,
    data: str,
    num_classes: int,
    num_examples: int | None = None,
    kind: str = "top_k",
    k: int | None = None,
    draws: int | None = None,
    residual: str = "uniform",
    prior: Tensor | None = None,
    temperature: float = 1.0,
    proposal_temperature: float = 1.0,
    dtype: str = "float16",
    generator: torch.Generator | None = None,
    rows_per_shard: int = 65536,
) -> TeacherCache:
    """Write a teacher's probabilities, its k largest or some draws, to a folder that is read by example id.

    top_k:    z_j - max z for the k largest z = teacher_logits / temperature, and the log of the sum of the others
    sampled:  classes drawn as targets.sample draws them, and log(p_j / q_j), by a seed of each example's own

    Killed anywhere and called again with the same arguments, it goes on after the shards that are whole and ends with
    the same bytes. Where the cache is finished already it is opened, and no batch is asked for.

    Args:
        folder: made where it is missing; empty, or of the same cache.
        batches: pairs of (...) int64 ids and (..., K) float teacher's logits, or a function that returns them, which
            is not called for what is written already. Ids come in any order, but in the same order each time; each id
            once. For sequences each token has an id of its own.
        teacher: what the teacher is called: a run's id, or a checksum of its weights.
        data: what the data are called.
        num_classes: K.
        num_examples: how many examples there must be; None: as many as come.
        kind: "top_k" or "sampled".
        k: classes kept of each example, for "top_k" alone; None: all K.
        draws: draws of each example, for "sampled" alone.
        residual: where the mass of the others goes: "uniform", "prior" or "drop", as in ``targets.top_k``.
        prior: (K,) probabilities, for the residual "prior" alone, at least 1e-6 of them outside any example's k.
        temperature: of the teacher, above 0.
        proposal_temperature: of the draws, as in ``targets.sample``.
        dtype: "float16" or "float32".
        generator: source of the draws' seed; None: torch's global one, or the seed of a cache that was begun.
        rows_per_shard: examples in a file; as many are held in memory: choose fewer where k = K is large.

    Returns:
        The cache, opened.

    Raises:
        ValueError: where an argument is out of range or another than the folder was begun with (it is named); an id
            comes twice, in another order, or with logits that are not of K classes or not numbers; examples are too
            few or too many; the folder holds anything else, or another process writes there.
        TypeError: where ids are not integers, or logits not floating-point.

    Limits:
        k = K in float32 gives the teacher's own softmax, to the bit; draws without end give it too.

    Conventions:
        a float16 is off by 2^-11 of what it holds, so what it holds is the distance to the largest logit: no class is
        lost, and sum_j |error of p_j| <= 2^-10 * sum_j p_j log(max p / p_j) to first order; measured 1e-4 to 5e-4 for
        Gaussian logits of standard deviation 1 to 8 over 1000 classes. Of draws' weights it holds the
        logarithm. "sampled" is Random Sampling Knowledge Distillation (Anshumann et al. 2025, second-hand).

    Cost:
        bytes per example: 24 + 2k + 2(k + 1) for k < K <= 32768, 24 + 2K for k = K, 24 + 2 * draws at a proposal
        temperature of 1; 106 for k = 20 of 1000 classes. Draws take some tenths of a millisecond each
        example; ids take 8 bytes of memory each.

    When:
        a teacher is run once and taught from many times, or does not fit beside its student.

    Against:
        k < K teaches a tail that the teacher does not have, or none: a biased gradient. Draws are unbiased over seeds,
        but each example keeps its draw for as long as the cache is used.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
        ...     cache = write_cache(folder, [(torch.tensor([7]), logits)], teacher="t", data="d", num_classes=3, k=2)
        ...     cache.targets(torch.tensor([7])).to_dense().round(decimals=3).tolist()
        [[0.5, 0.25, 0.25]]
    """
    path = Path(folder)
    if prior is not None:
        check_prior("prior", prior)
    plan = Plan(
        teacher=teacher,
        data=data,
        num_classes=num_classes,
        num_examples=num_examples,
        kind=kind,
        k=num_classes if k is None and kind == "top_k" else k,
        draws=draws,
        residual=residual,
        prior=None if prior is None else prior.detach().double().tolist(),
        temperature=temperature,
        proposal_temperature=proposal_temperature,
        dtype=dtype,
        seed=int(torch.randint(2**62, (), generator=generator)) if kind == "sampled" else None,
        rows_per_shard=rows_per_shard,
    )
    path.mkdir(parents=True, exist_ok=True)
    with held(path):
        plan = _begun(path, plan, keep_seed=generator is None)
        if not (path / MANIFEST).exists():
            write(path, plan, batches)
    cache = TeacherCache.open(path)
    if cache.plan != plan:
        remedy = "remove its folder, and call write_cache again"
        raise fail(str(path / MANIFEST), f"the plan that stands in {PLAN}", "another", remedy)
    return cache


def _begun(folder: Path, plan: Plan, *, keep_seed: bool) -> Plan:
    """Return the plan of the folder, which is this one; write it where the folder is empty."""
    path = folder / PLAN
    if not path.exists():
        foreign = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        if foreign:
            remedy = "choose another folder"
            raise fail(str(folder), "an empty folder, or that of a teacher cache", f"one with {foreign[0]}", remedy)
        write_file(path, [json_bytes({**HEAD, "plan": asdict(plan)})])
        return plan
    old = _read_plan(path)
    if keep_seed:
        plan = replace(plan, seed=old.seed)
    for name, value in asdict(plan).items():
        begun = getattr(old, name)
        if value != begun:
            argument, remedy = "generator" if name == "seed" else name, "give the same, or choose another folder"
            raise fail(argument, f"{_short(begun)}, as {folder} was begun with", _short(value), remedy)
    return plan


def _read_plan(path: Path) -> Plan:
    content = read_json(path)
    try:
        return Plan(**content["plan"])
    except (KeyError, TypeError, ValueError):
        remedy = "remove its folder, and call write_cache again"
        raise fail(str(path), "the plan of a teacher cache, as it was written", "a changed one", remedy) from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
