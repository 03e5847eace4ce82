"""Packages are fetched and opened, or one line says why not."""

import shutil
import sys
from pathlib import Path

import pytest
from debs import build_debs

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from debian_packages import PackagesError, download, find_deb, unpack, unpacked

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackagesError, match="no kajongg_"):
        find_deb("kajongg", tmp_path)


@needs_dpkg
def test_a_damaged_package_is_named(tmp_path: Path) -> None:
    deb = tmp_path / "kajongg_1.deb"
    deb.write_bytes(b"half of a pack")
    with pytest.raises(PackagesError, match="dpkg-deb cannot read it"):
        unpack(deb, tmp_path / "tree")


def test_without_dpkg_one_line_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackagesError, match="dpkg-deb is missing"):
        unpack(tmp_path / "kajongg_1.deb", tmp_path / "tree")


def test_without_a_network_one_line_says_so(tmp_path: Path, monkeypatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'W: slow' >&2\necho 'E: Failed to fetch it' >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(PackagesError, match="Failed to fetch it; is there a network"):
        download(["kajongg"], tmp_path)


def test_without_apt_one_line_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackagesError, match="needs Debian or Ubuntu"):
        download(["kajongg"], tmp_path)


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(PackagesError, match="not empty"):
        next(unpacked(["kajongg"], tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_missing_package_is_found_out_before_any_is_opened(tmp_path: Path) -> None:
    (tmp_path / "kajongg_1.deb").write_bytes(b"")
    with pytest.raises(PackagesError, match="no klettres-data_"):
        next(unpacked(["kajongg", "klettres-data"], tmp_path / "out", tmp_path))
    assert not (tmp_path / "out").exists()


@needs_dpkg
def test_each_is_opened_in_turn_and_its_licence_kept(tmp_path: Path) -> None:
    names = ["kajongg", "klettres-data"]
    for name in names:
        held = tmp_path / "trees" / name / "usr/share" / f"{name}.ogg"
        held.parent.mkdir(parents=True)
        held.write_text(name)
    debs = build_debs(tmp_path / "trees", tmp_path / "debs")
    seen = {}
    for name, tree in unpacked(names, tmp_path / "out", debs):
        assert not any(other.exists() for other in seen.values())
        assert (tree / "usr/share" / f"{name}.ogg").read_text() == name
        seen[name] = tree
    assert list(seen) == names
    kept = {p.name: p.read_text() for p in (tmp_path / "out" / "licences").iterdir()}
    assert kept == {f"{name}.txt": f"{name}: free" for name in names}
