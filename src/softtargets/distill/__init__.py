"""A teacher's signal to one loss per example; teachers that are kept, averaged or made of several."""

from softtargets.distill._average import MovingAverage
from softtargets.distill._decoupled import decoupled
from softtargets.distill._ensemble import ensemble
from softtargets.distill._hidden import hidden
from softtargets.distill._logits import knowledge_distillation, squared_logits
from softtargets.distill._relational import relational
from softtargets.distill._smoothness import equivalent_smoothing
from softtargets.distill._standardized import logit_standardized, standardize
from softtargets.distill._vocabulary import pad_vocabulary
from softtargets.distill.cache.plan import CacheSource, Sampled, TopK
from softtargets.distill.cache.read import TeacherCache
from softtargets.distill.cache.write import write_cache

__all__ = [
    "CacheSource",
    "MovingAverage",
    "Sampled",
    "TeacherCache",
    "TopK",
    "decoupled",
    "ensemble",
    "equivalent_smoothing",
    "hidden",
    "knowledge_distillation",
    "logit_standardized",
    "pad_vocabulary",
    "relational",
    "squared_logits",
    "standardize",
    "write_cache",
]
