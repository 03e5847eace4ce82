"""Debian packages for the tests of what collects recordings from them."""

import subprocess
from pathlib import Path


def build_debs(trees: Path, debs: Path) -> Path:
    """Make a package of each folder in ``trees``, with a licence, and return ``debs``."""
    debs.mkdir()
    for tree in sorted(trees.iterdir()):
        package = tree.name
        licence = tree / "usr/share/doc" / package / "copyright"
        licence.parent.mkdir(parents=True)
        licence.write_text(f"{package}: free")
        control = tree / "DEBIAN" / "control"
        control.parent.mkdir()
        control.write_text(
            f"Package: {package}\nVersion: 1\nArchitecture: all\n"
            "Maintainer: a <a@example.org>\nDescription: toy\n"
        )
        command = ["dpkg-deb", "--build", "-Znone", str(tree), str(debs / f"{package}_1.deb")]
        subprocess.run(command, check=True, capture_output=True)
    return debs
