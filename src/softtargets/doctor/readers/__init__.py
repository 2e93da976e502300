"""Readers of configurations. Importing this package registers all of them."""

from softtargets.doctor.readers import fairseq, keras, opennmt, timm, torch, transformers
from softtargets.doctor.readers.registry import READERS, Reader, is_in, reader_of

__all__ = ["READERS", "Reader", "fairseq", "is_in", "keras", "opennmt", "reader_of", "timm", "torch", "transformers"]
