"""Where data sets are kept, and what to say when one is not there."""

import os
from dataclasses import dataclass
from pathlib import Path

import pooch  # type: ignore[import-untyped]

from tinypareto.datasets.files import check_md5
from tinypareto.errors import DataError, reason

CACHE_VARIABLE = "TINYPARETO_CACHE"


def cache_folder() -> Path:
    """Return the folder of fetched and normalised data: ``$TINYPARETO_CACHE``, or the system's own for caches."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path(pooch.os_cache("tinypareto"))


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A data set as its publisher offers it.

    Args:
        title: Its name.
        place: Name of its folder or archive in the cache folder.
        url: Where the archive lies; None if it has no lasting address.
        published_md5: By the archive's file name.
        instructions: What to fetch by hand.
    """

    title: str
    place: str
    url: str | None
    published_md5: dict[str, str]
    instructions: str

    def locate(self, path: Path | None) -> Path:
        """Return the folder or archive to read; without a path, the one in the cache, fetched if it can be.

        Raises:
            DataError: If there is nothing.
        """
        if path is not None and not path.exists():
            raise DataError(
                f"there is no {path}; give an existing folder or archive with --data. {self.help()}"
            )
        return path if path is not None else self._in_cache()

    def check(self, path: Path) -> None:
        """Check an archive that has a published name against its published sum.

        Raises:
            DataError: If the sum is wrong.
        """
        if path.is_file() and path.name in self.published_md5:
            check_md5(path, self.published_md5[path.name])

    def help(self) -> str:
        """Return what to fetch and where to put it."""
        return (
            f"{self.instructions} Then give it with --data PATH, or put it at {cache_folder() / self.place}."
        )

    def _in_cache(self) -> Path:
        kept = cache_folder() / self.place
        if kept.exists():
            return kept
        if self.url is None:
            raise DataError(f"{self.title} is not there, and it cannot be fetched by itself. {self.help()}")
        name = self.place
        try:
            pooch.retrieve(self.url, f"md5:{self.published_md5[name]}", fname=name, path=cache_folder())
        except Exception as error:  # of the network, of many libraries
            raise DataError(
                f"{self.title} is not there and could not be fetched ({reason(error)}). {self.help()}"
            ) from error
        return kept
