"""What training did to the model."""

from softtargets.analysis._gaps import logit_gap

__all__ = ["logit_gap"]
