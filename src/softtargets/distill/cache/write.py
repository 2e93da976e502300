"""Teacher caches: what a teacher says of every example, written once."""

from dataclasses import replace
from os import PathLike
from pathlib import Path

import torch

from softtargets._errors import fail
from softtargets.distill.cache.format import HEAD, MANIFEST, PLAN, held, json_bytes, read_json, write_file
from softtargets.distill.cache.plan import CacheSource, Plan, Sampled, TopK
from softtargets.distill.cache.read import TeacherCache
from softtargets.distill.cache.shards import Batches, write

__all__ = ["write_cache"]


def write_cache(
    folder: str | PathLike[str],
    batches: Batches,
    source: CacheSource,
    *,
    keep: TopK | Sampled | None = None,
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
        source: whose answers they are: names of the teacher and the data, K and the number of examples.
        keep: what is kept of each example, a :class:`TopK` or a :class:`Sampled`; None: all classes in float16.
        generator: source of the draws' seed; None: torch's global one, or the seed of a cache that was begun.
        rows_per_shard: examples in a file; as many are held in memory: choose fewer where k = K is large.

    Returns:
        The cache, opened.

    Raises:
        ValueError: where an argument is out of range or another than the folder was begun with (it is named); an id
            comes twice, in another order, or with logits that are not of K classes or not numbers; examples are too
            few or too many; the folder holds anything else, or another process writes there.
        TypeError: where ids are not integers, or logits not floating-point.

    Special cases:
        k = K in float32 gives the teacher's own softmax, to the bit; draws without end give it too.

    Notes:
        a float16 is off by 2^-11 of what it holds, so what it holds is the distance to the largest logit: no class is
        lost, and sum_j |error of p_j| <= 2^-10 * sum_j p_j log(max p / p_j) to first order; measured 1e-4 to 5e-4 for
        Gaussian logits of standard deviation 1 to 8 over 1000 classes. Of draws' weights it holds the
        logarithm. "sampled" is Random Sampling Knowledge Distillation (Anshumann et al. 2025, second-hand).

    Complexity:
        bytes per example: 24 + 2k + 2(k + 1) for k < K <= 32768, 24 + 2K for k = K, 24 + 2 * draws at a proposal
        temperature of 1; 106 for k = 20 of 1000 classes. Draws take some tenths of a millisecond each
        example; ids take 8 bytes of memory each.

    When to use:
        a teacher is run once and taught from many times, or does not fit beside its student.

    Limitations:
        k < K teaches a tail that the teacher does not have, or none: a biased gradient. Draws are unbiased over seeds,
        but each example keeps its draw for as long as the cache is used.

    Example:
        >>> import tempfile
        >>> source = CacheSource(teacher="t", data="d", num_classes=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
        ...     cache = write_cache(folder, [(torch.tensor([7]), logits)], source, keep=TopK(k=2))
        ...     cache.targets(torch.tensor([7])).to_dense().round(decimals=3).tolist()
        [[0.5, 0.25, 0.25]]
    """
    path, keep = Path(folder), TopK() if keep is None else keep
    seed = int(torch.randint(2**62, (), generator=generator)) if isinstance(keep, Sampled) else None
    plan = Plan(source, keep, seed, rows_per_shard)
    path.mkdir(parents=True, exist_ok=True)
    with held(path):
        plan = _begun(path, plan, keep_seed=generator is None)
        if not (path / MANIFEST).exists():
            write(path, plan, batches)
    cache = TeacherCache.open(path)
    if cache.plan.record() != plan.record():
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
        write_file(path, [json_bytes({**HEAD, "plan": plan.record()})])
        return plan
    old = _read_plan(path)
    if keep_seed:
        plan = replace(plan, seed=old.seed)
    for (name, value), begun in zip(plan.record().items(), old.record().values(), strict=True):
        if value != begun:
            argument, remedy = "generator" if name == "seed" else name, "give the same, or choose another folder"
            raise fail(argument, f"{_short(begun)}, as {folder} was begun with", _short(value), remedy)
    return plan


def _read_plan(path: Path) -> Plan:
    content = read_json(path)
    try:
        return Plan.from_record(content["plan"])
    except (KeyError, TypeError, ValueError):
        remedy = "remove its folder, and call write_cache again"
        raise fail(str(path), "the plan of a teacher cache, as it was written", "a changed one", remedy) from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
