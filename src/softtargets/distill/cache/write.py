"""Writing a teacher cache: a teacher's probabilities for every example, computed once."""

from os import PathLike

import torch

from softtargets.distill.cache.filling import fill, path_of
from softtargets.distill.cache.plan import CacheSource, Plan, Sampled, TopK
from softtargets.distill.cache.read import TeacherCache
from softtargets.distill.cache.shards import Batches, write
from softtargets.targets.checks import check_generator

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
    """Write a teacher's probabilities, its k largest or sampled ones, to a folder that is read by example id.

    top_k:    z_j - max z for the k largest z = teacher_logits / temperature, and the log of the sum of the others
    sampled:  classes sampled as by targets.sample, and log(p_j / q_j), with one seed per example

    If the process is killed, call the function again with the same arguments: it resumes after the complete shards, and
    the files end up with the same bytes. If the cache is already finished, it is opened and no batch is requested.

    Args:
        folder: created if missing; must be empty or hold the same cache.
        batches: pairs (ids, logits): (...) integer ids and the teacher's (..., K) float logits. Instead of the logits a
            function that returns them may be given, which is not called for examples that are already written. Ids may
            come in any order, but in the same order on every call, and each id once. If the source has a tokenizer,
            :class:`SequenceBatch` in place of the pairs. Tensors only: convert NumPy arrays with torch.from_numpy.
        source: names of the teacher and the data, K, and the number of examples; for sequences the tokenizer.
        keep: what to keep of each example, a :class:`TopK` or a :class:`Sampled`; None: all classes in float16.
        generator: source of the seed of the draws; None: torch's global generator, or the seed of a cache that was
            started before.
        rows_per_shard: examples per file, or of sequences the tokens after which a file is closed. One file is held in
            memory at a time: use a smaller number if all of many classes are kept.

    Returns:
        The opened cache.

    Raises:
        ValueError: if an argument is out of range or differs from what the folder was started with (it is named), an id
            occurs twice or in another order, logits do not have K classes or are not finite, there are too few or too
            many examples, or the folder holds other files or is being written by another process.
        TypeError: if batches are not pairs of tensors, ids not integers, or logits not floating-point.

    Special cases:
        k = K in float32 gives the teacher's softmax exactly; as n_draws grows, the sampled targets converge to it.

    Notes:
        float16 has a relative error of 2^-11. The stored value is the difference to the largest logit, so that no class
        underflows, and sum_j |error of p_j| <= 2^-10 * sum_j p_j log(max p / p_j) to first order; measured 1e-4 to 5e-4
        for Gaussian logits of standard deviation 1 to 8 over 1000 classes. For draws, the logarithm of the weights is
        stored. "sampled" is Random Sampling Knowledge Distillation (Anshumann et al. 2025, cited from a secondary
        source).

    Complexity:
        Bytes per example: 24 + 2k + 2(k + 1) for k < K <= 32768, 24 + 2K for k = K, 24 + 2 * n_draws at a proposal
        temperature of 1; for example 106 for k = 20 of 1000 classes. Bytes per token of a sequence: 8 + 4k + 2(k + 1)
        for K > 32768, and 8 + 6 * n_draws; for example 394 for k = 64. Sampling takes a few tenths of a millisecond
        per example. Ids take 8 bytes of memory each.

    When to use:
        A teacher is run once and used many times, or does not fit into memory together with the student.

    Limitations:
        With k < K the gradient is biased, because the tail is spread or dropped. Draws are unbiased over seeds, but
        each example keeps its draws for as long as the cache is used.

    Example:
        >>> import tempfile
        >>> source = CacheSource(teacher="t", data="d", num_classes=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
        ...     cache = write_cache(folder, [(torch.tensor([7]), logits)], source, keep=TopK(k=2))
        ...     cache.targets(torch.tensor([7])).to_dense().round(decimals=3).tolist()
        [[0.5, 0.25, 0.25]]
    """
    path, keep = path_of(folder), TopK() if keep is None else keep
    check_generator(generator, torch.device("cpu"))
    seed = int(torch.randint(2**62, (), generator=generator)) if isinstance(keep, Sampled) else None
    plan = Plan(source, keep, seed, rows_per_shard)
    fill(path, plan, lambda plan: write(path, plan, batches), keep_seed=generator is None)
    return TeacherCache.open(path)
