"""Files on the Hugging Face hub: found in the cache, or asked for once."""

from typing import Sequence
from urllib.error import HTTPError
from urllib.request import urlopen

from huggingface_hub import constants, try_to_load_from_cache

from hetkd.errors import UserError

PREFIX = 'hf-hub:'
WEIGHTS = ('model.safetensors', 'pytorch_model.bin')
SECONDS = 5


def check_hub(repo: str, files: Sequence[str]) -> None:
    """See that a repository is in the cache or that the hub answers, before a download that retries for long.

    Args:
        repo: ``'owner/name'``, also with ``'@revision'``.
        files: names, any of which serves.

    Raises:
        UserError: neither.
    """
    name, _, revision = repo.partition('@')
    if any(isinstance(try_to_load_from_cache(name, x, revision=revision or None), str) for x in files):
        return
    try:
        urlopen(constants.ENDPOINT, timeout=SECONDS).close()
    except HTTPError:  # it answers
        return
    except OSError as error:
        raise hub_error(repo, error) from error


def hub_error(repo: str, error: Exception) -> UserError:
    """The error for a repository that cannot be had."""
    return UserError(
        repo,
        f'its files in the cache ({constants.HF_HUB_CACHE}) or at {constants.ENDPOINT}',
        f'neither ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else "no answer"})',
        'connect to the network, copy the cache of a machine that has them (HF_HOME), or name a weight '
        'file: checkpoint=PATH, or pretrained=PATH to begin from all but its head',
    )
