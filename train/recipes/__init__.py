"""Recipes: files that hold the options of a training, so that one word repeats it."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from rtdenoise.train.data import DataError


def list_recipes() -> list[str]:
    """Return the names of the recipes that ship."""
    names = (file.name for file in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def read_recipe(name: str) -> dict[str, Any]:
    """Return the options in a recipe: those of ``rtdenoise train``, without their dashes.

    Args:
        name: one of :func:`list_recipes`, or the path of one's own TOML file.

    Raises:
        DataError: there is no such recipe, or it is not valid TOML.
    """
    if name in list_recipes():
        text = (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
    else:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"preset {name!r} is unknown; use one of {', '.join(list_recipes())}, "
                "or a TOML file of options"
            ) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{name}: is not valid TOML ({error})") from error
    return {key.replace("-", "_"): value for key, value in values.items()}
