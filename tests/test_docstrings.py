"""The examples in docstrings run."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def modules():
    """Names of all modules, as they are imported."""
    for folder, package in (("rtdenoise", "rtdenoise"), ("train", "rtdenoise.train")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[-1] not in ("__init__", "__main__"):
                yield ".".join((package, *parts))


@pytest.mark.parametrize("name", list(modules()))
def test_examples_of(name):
    module = import_module(name)
    assert module.__doc__
    assert doctest.testmod(module).failed == 0
