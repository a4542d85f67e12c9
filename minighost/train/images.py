"""The images of a run, opened as its configuration says, and a configuration that suits images of one's own."""

from collections.abc import Mapping
from typing import Any

from minighost.data import sources
from minighost.train.config import Config, DataConfig
from minighost.type_aliases import PathLike

__all__ = ["open_images", "resolve"]


def open_images(config: DataConfig, progress: bool = True) -> sources.Opened:
    """Training and test images, and what there is to say about them; errors as of `minighost.data.open`."""
    return sources.survey(
        config.name,
        size=config.size,
        split=config.split,
        split_seed=config.split_seed,
        directory=config.dir,
        archive=config.archive,
        train_size=config.train_size,
        test_size=config.test_size,
        progress=progress,
    )


def resolve(
    toml_path: PathLike | None = None, overrides: Mapping[str, Any] | None = None, preset: str | None = None
) -> tuple[Config, sources.Opened | None]:
    """The configuration of a new run, as `minighost train` makes it.

    Parameters
    ----------
    toml_path, overrides, preset
        See `Config.resolve`.

    Returns
    -------
    config : Config
    images : Opened or None
        Images of one's own, which had to be opened to know what suits them; None for a data set with a name.

    Raises
    ------
    ValueError, TypeError, OSError
        See `Config.resolve` and `minighost.data.open`.
    """
    given: dict[str, Any] = {"toml_path": toml_path, "overrides": overrides, "preset": preset}
    chosen = Config.resolve(**given, check=False).data
    if sources.is_named(chosen.name):
        return Config.resolve(**given), None
    images = open_images(chosen)
    return Config.resolve(**given, images=images.train), images
