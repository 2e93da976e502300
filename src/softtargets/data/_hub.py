"""Data sets on the Hugging Face Hub."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from softtargets._errors import InputError, fail
from softtargets.data._columns import choose, names_of
from softtargets.data._files import ALIASES, suggestion
from softtargets.data._tables import Part, reading
from softtargets.data.spec import DataSpec

_OFFLINE = "HF_HUB_OFFLINE"
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Hub:
    """A data set by its name "user/set", downloaded once into the Hub's own cache."""

    name: str

    def identity(self) -> str:
        """Return the name and version that is read."""
        return " ".join([self.name, *(f"{split} {data._fingerprint}" for split, data in self.splits.items())])

    def parts(self, spec: DataSpec) -> list[Part]:
        """Read the chosen columns, one part per split."""
        parts: list[Part] = []
        for split, data in self.splits.items():
            file = f"{self.name} ({split})"
            columns = choose(data.features, spec, file, parts[0].columns if parts else None)
            table = columns.flat(data.select_columns(columns.names).data.table)
            images = partial(_images, data, columns.image) if columns.image else None
            names = names_of(data.features[columns.label]) if columns.label else None
            parts.append(Part(split, file, table, columns, names, images=images))
        return parts

    @cached_property
    def splits(self) -> dict[str, Any]:
        """The data set's own splits by name."""
        import datasets

        with _reachable_or_cached(self.name), reading(self.name):
            found = datasets.load_dataset(self.name)
        known = {str(name): ALIASES[str(name)] for name in found if str(name) in ALIASES}
        if "train" not in known.values():
            raise fail(
                "name",
                "a data set with a train split",
                f"{', '.join(map(str, found))} in {self.name}",
                "choose another data set",
            )
        # the first of val, valid, dev and validation
        first = {split: name for name, split in reversed(known.items())}
        return {split: found[first[split]] for split in ("train", "validation", "test") if split in first}


def hub_image(cell: dict[str, Any] | None) -> bytes | str | None:
    """Return the bytes of an image, or the path of a file that the Hub's reader has downloaded."""
    return (cell or {}).get("bytes") or (cell or {}).get("path")


def _images(data: Any, column: str) -> Iterator[bytes | str | None]:
    for chunk in data.data.table[column].chunks:
        for cell in chunk:
            yield hub_image(cell.as_py())


@contextlib.contextmanager
def _reachable_or_cached(name: str) -> Iterator[None]:
    """Ask the Hub once; if it cannot be reached, use what was downloaded earlier.

    Without this the reader retries for half a minute before it reports that there is no network.
    """
    import datasets.config
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    close = suggestion(name, folders_only=True)
    local = f"did you mean the path '{close}'?" if close else "check the spelling, or give the path of a file or folder"
    try:
        HfApi().dataset_info(name, timeout=_TIMEOUT_SECONDS)
    except (RepositoryNotFoundError, HFValidationError) as error:
        required = "'digits', an existing file or folder, or a data set on the Hugging Face Hub"
        raise fail("name", required, f"'{name}', which does not exist on the Hub or is private", local) from error
    except Exception as reason:
        switches = (datasets.config, constants)
        before = [getattr(switch, _OFFLINE) for switch in switches]
        try:
            for switch in switches:
                setattr(switch, _OFFLINE, True)
            yield
        except InputError as error:
            got = f"'{name}', which is not downloaded, and the Hub cannot be reached ({type(reason).__name__})"
            required = "'digits', an existing file or folder, or a data set on the Hugging Face Hub"
            raise fail("name", required, got, f"{local}; for a study: --at {name}=PATH") from error
        finally:
            for switch, value in zip(switches, before, strict=True):
                setattr(switch, _OFFLINE, value)
    else:
        yield
