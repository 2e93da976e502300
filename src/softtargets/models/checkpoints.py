"""Folders of pretrained checkpoints: of the user, or from the Hugging Face Hub and its cache."""

import hashlib
from pathlib import Path

from softtargets._errors import fail
from softtargets._storage import checksum_file

CONFIG = "config.json"
PATTERNS = [CONFIG, "*.safetensors", "*.safetensors.index.json"]
TIMEOUT_SECONDS = 10
REQUIRED = "a checkpoint in the safetensors format: a folder, or a name 'user/model' on the Hugging Face Hub"


def checkpoint_folder(name: str) -> Path:
    """Return the folder with the files of a checkpoint.

    A checkpoint of the Hub is downloaded once. What is in the Hub's cache is used without asking for a newer version.

    Args:
        name: path of a folder, or "user/model".

    Raises:
        InputError: if there is no such checkpoint, or it has no weights in the safetensors format, or the Hub cannot be
            reached.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    path = Path(name).expanduser()
    if path.is_dir():
        if not _complete(path):
            remedy = "save it with save_pretrained"
            raise fail("model.pretrained", REQUIRED, f"'{name}', which has no {CONFIG} or no .safetensors", remedy)
        return path
    try:
        found = Path(snapshot_download(name, allow_patterns=PATTERNS, local_files_only=True))
        if _complete(found):
            return found
    except HFValidationError as error:
        got = f"'{name}', which is no such name, and no folder"
        raise fail("model.pretrained", REQUIRED, got, "check the spelling") from error
    except OSError:  # not in the cache
        pass
    try:
        # once, since downloads retry for half a minute before they report that there is no network
        HfApi().model_info(name, timeout=TIMEOUT_SECONDS)
        found = Path(snapshot_download(name, allow_patterns=PATTERNS))
    except RepositoryNotFoundError as error:
        got = f"'{name}', which does not exist on the Hub or is private"
        raise fail("model.pretrained", REQUIRED, got, "check the spelling") from error
    except Exception as error:
        got = f"'{name}', which is not downloaded, and the Hub cannot be reached ({type(error).__name__})"
        remedy = "give the path of a folder, or run once with a network connection"
        raise fail("model.pretrained", REQUIRED, got, remedy) from error
    if not _complete(found):
        raise fail("model.pretrained", REQUIRED, f"'{name}', which has none", "choose another checkpoint")
    return found


def folder_fingerprint(folder: Path) -> str:
    """Return a hash of the configuration and the weights in a checkpoint's folder."""
    files = [folder / CONFIG, *sorted(folder.glob("*.safetensors"))]
    return hashlib.sha256("".join(map(checksum_file, map(Path.resolve, files))).encode()).hexdigest()


def _complete(folder: Path) -> bool:
    return (folder / CONFIG).exists() and any(folder.glob("*.safetensors"))
