"""What a cache keeps of a teacher's logits: the columns of some rows."""

import hashlib
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32, shifted
from softtargets.distill.cache.plan import Plan, Sampled
from softtargets.targets import sample
from softtargets.targets.checks import check_scores, check_tensor

LEAST_OTHERS = 1e-6


def integer_ids(ids: object) -> Tensor:
    """Return ids as (n,) int64 on the CPU, checked; they may be negative."""
    check_tensor("ids", ids, "an integer tensor, one id per example")
    assert isinstance(ids, Tensor)
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        remedy = "pass integer ids; write_cache takes batches of (ids, logits), in this order"
        raise fail_type("ids", "an integer tensor, one id per example", f"dtype {ids.dtype}", remedy)
    return ids.detach().reshape(-1).cpu().long()


def scores_of(logits: Any, plan: Plan) -> Tensor:
    """Return the teacher's logits as (n, K), checked."""
    check_scores("teacher_logits", logits)
    size = plan.source.num_classes
    if logits.ndim < 1 or logits.shape[-1] != size:
        got = f"shape {tuple(logits.shape)}"
        raise fail("teacher_logits", f"{size} classes, num_classes, last", got, "set num_classes")
    return logits.detach().reshape(-1, size)


def columns_of(ids: Tensor, scores: Tensor, plan: Plan) -> dict[str, Tensor]:
    """Return the columns of some rows, in the dtypes of the plan, on the CPU.

    Args:
        ids: (n,) the example that each row belongs to; rows of an example follow each other.
        scores: (n, K) logits of the teacher.
        plan: what to keep.
    """
    if isinstance(plan.keep, Sampled):
        scores = scores.cpu()  # where the generator is
    rows = shifted(at_least_float32(scores) / plan.keep.temperature)
    bad = first_bad(rows.amax(-1) != 0) if len(rows) else None  # the largest is 0 unless it was infinite or NaN
    if bad is not None:
        required = "numbers, -inf for classes that do not exist"
        got = f"a NaN, +inf or only -inf for id {int(ids[bad])}"
        raise fail("teacher_logits", required, got, "check the input of that example")
    if isinstance(plan.keep, Sampled):
        columns = _drawn(ids, rows.log_softmax(-1), plan.keep, plan.seed)
    elif plan.complete:
        columns = {"logits": rows}
    else:
        columns = _largest(ids, rows, plan)
    return {name: columns[name].to("cpu", dtype) for name, (dtype, _) in plan.columns().items()}


def _largest(ids: Tensor, rows: Tensor, plan: Plan) -> dict[str, Tensor]:
    top, index = rows.topk(plan.k or 0, dim=-1)
    # summed over the others: 1 - sum_topk p would cancel if little mass is left
    left = rows.scatter(-1, index, -torch.inf).logsumexp(-1, keepdim=True)
    if (prior := plan.prior) is not None:
        others = 1 - prior.to(index.device)[index].sum(-1)
        bad = first_bad(others < LEAST_OTHERS)
        if bad is not None:
            got = f"{float(others[bad]):.1g} for id {int(ids[bad])}"
            remedy = "use 'uniform' or 'drop', or a smaller k"
            raise fail("prior", f"a mass of {LEAST_OTHERS:g} outside the k largest classes", got, remedy)
    return {"logits": torch.cat([top, left], -1), "classes": index}


def _drawn(ids: Tensor, log_probs: Tensor, keep: Sampled, seed: int | None) -> dict[str, Tensor]:
    """Return the draws of some rows, with one seed per example, so that order and batches do not matter."""
    draws, generator = keep.n_draws, torch.Generator()
    classes = torch.empty((len(ids), draws), dtype=torch.int64)
    log_weights = torch.empty((len(ids), draws))
    examples, counts = ids.unique_consecutive(return_counts=True)
    for example, end, count in zip(examples.tolist(), counts.cumsum(0).tolist(), counts.tolist(), strict=True):
        rows = slice(end - count, end)
        # hashed: seed + id would give the same draws for (0, 1) and (1, 0)
        digest = hashlib.sha256(f"{seed}:{example}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:4], "little"))
        drawn = sample(
            log_probs[rows], n_draws=draws, proposal_temperature=keep.proposal_temperature, generator=generator
        )
        classes[rows], value = drawn.factors()
        log_weights[rows] = (value * draws).log()
    return {"classes": classes, "log_weights": log_weights, "log_probs": log_probs.gather(-1, classes)}
