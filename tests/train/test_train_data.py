from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rtdenoise.errors import RtdenoiseError
from rtdenoise.train import data
from rtdenoise.train.data import (
    RATE_HZ,
    Pool,
    Recording,
    Sources,
    find_audio,
    find_pairs,
    find_recordings,
    load_corpus,
    load_pool,
)


def write(path: Path, samples: np.ndarray, rate: int = RATE_HZ) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def recordings(*paths: Path) -> list[Recording]:
    return [Recording(str(p), p.stem, "train") for p in paths]


def splits(found: list[Recording]) -> dict[str, set[str]]:
    return {s: {r.speaker for r in found if r.split == s} for s in ("train", "valid")}


@pytest.fixture
def noise() -> np.ndarray:
    return 0.1 * np.random.default_rng(3).normal(size=400)


class TestLayouts:
    @pytest.mark.parametrize("name", ["{talker}/{take}.wav", "{talker}_{take}.flac"])
    def test_plain_folder_splits_by_talker(self, tmp_path: Path, noise, name: str) -> None:
        for talker in range(12):
            for take in range(2):
                write(tmp_path / name.format(talker=f"p{talker}", take=take), noise)
        found = find_recordings(tmp_path)
        held = splits(found)
        assert [r.path for r in found] == sorted(str(p) for p in find_audio(tmp_path))
        assert held["train"].isdisjoint(held["valid"])
        assert held["train"] | held["valid"] == {f"p{t}" for t in range(12)}
        assert len(held["valid"]) == 1
        assert find_recordings(tmp_path) == found

    def test_split_does_not_depend_on_the_place(self, tmp_path: Path, noise) -> None:
        for place in ("here", "there"):
            for talker in range(12):
                write(tmp_path / place / f"p{talker}" / "1.wav", noise)
        here, there = (splits(find_recordings(tmp_path / p)) for p in ("here", "there"))
        assert here == there

    def test_one_more_talker_moves_at_most_one_other(self, tmp_path: Path, noise) -> None:
        for talker in range(30):
            write(tmp_path / f"p{talker}.wav", noise)
        before = splits(find_recordings(tmp_path))["valid"]
        write(tmp_path / "new.wav", noise)
        after = splits(find_recordings(tmp_path))["valid"]
        assert len(before - after) <= 1
        assert len(after - before - {"new"}) <= 1

    def test_manifest(self, tmp_path: Path, noise) -> None:
        for name in ("x/one.wav", "x/two.wav", "ignored.wav"):
            write(tmp_path / name, noise)
        (tmp_path / "manifest.csv").write_text(
            "path,split,speaker\nx/two.wav,valid,ann\nx/one.wav,train,bob\n"
        )
        assert find_recordings(tmp_path) == [
            Recording(str(tmp_path / "x/two.wav"), "ann", "valid"),
            Recording(str(tmp_path / "x/one.wav"), "bob", "train"),
        ]

    def test_manifest_without_speakers_takes_names(self, tmp_path: Path, noise) -> None:
        write(tmp_path / "one.wav", noise)
        (tmp_path / "manifest.csv").write_text("path,split\none.wav,train\n")
        assert find_recordings(tmp_path)[0].speaker == "one"

    def test_pairs(self, tmp_path: Path, noise) -> None:
        for side, gain in (("noisy", 1.0), ("clean", 0.5)):
            for talker in range(3):
                write(tmp_path / side / f"p{talker}_001.wav", gain * noise)
        pairs = find_pairs(tmp_path / "noisy", tmp_path / "clean")
        assert len(pairs) == 3
        for noisy, clean in pairs:
            assert Path(noisy.path).parent.name == "noisy"
            assert Path(clean.path).parent.name == "clean"
            assert Path(noisy.path).name == Path(clean.path).name
            assert (noisy.speaker, noisy.split) == (clean.speaker, clean.split)
        folders = {"pairs_noisy": str(tmp_path / "noisy"), "pairs_clean": str(tmp_path / "clean")}
        for split, count in (("train", 2), ("valid", 1)):
            corpus = load_corpus(Sources(**folders), split, tmp_path / "cache")
            assert corpus.paired
            assert corpus.speech.lengths.tolist() == [noise.size] * count
            loud, soft = corpus.noise.samples.float(), corpus.speech.samples.float()
            torch.testing.assert_close(soft, 0.5 * loud, atol=1.0, rtol=0)

    def test_corpus_of_speech_and_noise(self, sources: Sources, cache: Path) -> None:
        train, valid = (load_corpus(sources, s, cache) for s in ("train", "valid"))
        assert not train.paired
        assert (len(train.speech.lengths), len(valid.speech.lengths)) == (6, 2)
        assert (len(train.noise.lengths), len(valid.noise.lengths)) == (2, 1)


class TestErrors:
    def check(self, message: str, act: Callable[[], object]) -> None:
        with pytest.raises(RtdenoiseError, match=message) as caught:
            act()
        assert "\n" not in str(caught.value)

    def test_missing_folder(self, tmp_path: Path) -> None:
        self.check("no such folder", lambda: find_recordings(tmp_path / "gone"))

    def test_folder_without_audio(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("nothing to hear")
        self.check("no recordings", lambda: find_recordings(tmp_path))

    def test_headerless_files_are_no_audio(self, tmp_path: Path) -> None:
        (tmp_path / "dump.raw").write_bytes(bytes(100))
        self.check("no recordings", lambda: find_recordings(tmp_path))

    def test_one_talker_cannot_be_split(self, tmp_path: Path, noise) -> None:
        write(tmp_path / "p1_001.wav", noise)
        write(tmp_path / "p1_002.wav", noise)
        self.check("two talkers", lambda: find_recordings(tmp_path))

    def test_missing_partner(self, tmp_path: Path, noise) -> None:
        for talker in "ab":
            write(tmp_path / "noisy" / f"{talker}.wav", noise)
        write(tmp_path / "clean" / "a.wav", noise)
        self.check("b.wav: missing", lambda: find_pairs(tmp_path / "noisy", tmp_path / "clean"))

    def test_pairs_of_unequal_length(self, tmp_path: Path, noise) -> None:
        for talker in "abc":
            write(tmp_path / "noisy" / f"{talker}.wav", noise)
            write(tmp_path / "clean" / f"{talker}.wav", noise[:-1])
        sources = Sources(pairs_noisy=str(tmp_path / "noisy"), pairs_clean=str(tmp_path / "clean"))
        self.check("not as long", lambda: load_corpus(sources, "train", tmp_path / "cache"))

    @pytest.mark.parametrize("text", ["", "path,split\n", "file,split\na.wav,train\n"])
    def test_manifest_without_rows_or_columns(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "manifest.csv").write_text(text)
        self.check("needs the columns", lambda: find_recordings(tmp_path))

    def test_manifest_names_a_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "manifest.csv").write_text("path,split\ngone.wav,train\n")
        self.check("gone.wav: listed", lambda: find_recordings(tmp_path))

    @pytest.mark.parametrize("content", [b"", b"this is not audio at all"])
    def test_unreadable_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "bad.wav").write_bytes(content)
        bad = recordings(tmp_path / "bad.wav")
        self.check("bad.wav: cannot be read", lambda: load_pool(bad, tmp_path / "cache", "speech"))
        assert list((tmp_path / "cache").iterdir()) == []

    def test_file_without_samples(self, tmp_path: Path) -> None:
        empty = recordings(write(tmp_path / "empty.wav", np.zeros(0)))
        self.check("empty.wav: is empty", lambda: load_pool(empty, tmp_path / "cache", "speech"))

    def test_empty_split(self, tmp_path: Path) -> None:
        self.check("no speech", lambda: load_pool([], tmp_path, "speech"))

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"speech": "s"},
            {"noise": "n"},
            {"pairs_noisy": "n"},
            {"speech": "s", "noise": "n", "pairs_noisy": "n"},
            {"speech": "s", "pairs_noisy": "n", "pairs_clean": "c"},
        ],
    )
    def test_sources_that_contradict(self, tmp_path: Path, given: dict[str, str]) -> None:
        self.check("give either", lambda: load_corpus(Sources(**given), "train", tmp_path))


class TestDecoding:
    @pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
    def test_any_rate_and_channels_become_16_khz_mono(self, tmp_path: Path, rate: int) -> None:
        tone = np.sin(2 * np.pi * 1000 * np.arange(rate // 2) / rate)
        stereo = np.stack((0.8 * tone, -0.2 * tone), axis=1)
        path = write(tmp_path / "tone.wav", stereo, rate)
        pool = load_pool(recordings(path), tmp_path / "cache", "speech")
        assert pool.samples.dtype == torch.int16
        assert int(pool.lengths[0]) == RATE_HZ // 2
        want = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ // 2) / RATE_HZ)
        got = pool.samples.numpy() / 32767.0
        # The edges hear the silence around the file.
        np.testing.assert_allclose(got[200:-200], want[200:-200], atol=2e-3)

    def test_too_loud_files_are_limited_not_wrapped(self, tmp_path: Path) -> None:
        path = write(tmp_path / "loud.wav", np.array([2.0, -2.0, 0.5] * 20))
        pool = load_pool(recordings(path), tmp_path / "cache", "speech")
        assert pool.samples[:3].tolist() == [32767, -32767, 16384]

    def test_second_load_reads_the_cache(
        self, tmp_path: Path, noise, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = recordings(*(write(tmp_path / f"{k}.wav", noise[k:]) for k in range(3)))
        decoded = []
        decode = data._decode
        monkeypatch.setattr(data, "_decode", lambda path: decoded.append(path) or decode(path))
        first = load_pool(files, tmp_path / "cache", "speech")
        assert len(decoded) == 3
        second = load_pool(files, tmp_path / "cache", "speech")
        assert len(decoded) == 3
        assert first.lengths.tolist() == second.lengths.tolist() == [400, 399, 398]
        assert first.starts.tolist() == second.starts.tolist() == [0, 400, 799]
        assert torch.equal(first.samples, second.samples)
        write(tmp_path / "1.wav", noise[:50])
        changed = load_pool(files, tmp_path / "cache", "speech")
        assert len(decoded) == 6
        assert changed.lengths.tolist() == [400, 50, 398]
        assert len(list((tmp_path / "cache").iterdir())) == 4

    def test_order_of_the_files_is_kept(self, tmp_path: Path) -> None:
        levels = [0.1, 0.2, 0.3, 0.4]
        paths = [write(tmp_path / f"{k}.wav", np.full(10, v)) for k, v in enumerate(levels)]
        pool = load_pool(recordings(*paths), tmp_path / "cache", "speech")
        got = pool.cut(torch.arange(4), torch.zeros(4, dtype=torch.int64), 10)
        np.testing.assert_allclose(got, np.tile(np.array(levels)[:, None], 10), atol=1e-4)


class TestPool:
    @pytest.fixture
    def counted(self, make_pool: Callable[..., Pool]) -> Pool:
        """Every sample tells its file (thousands) and its place in it."""
        return make_pool(*(1000 * k + np.arange(n) for k, n in enumerate((300, 900, 70))))

    def test_cuts_are_where_they_say(self, counted: Pool) -> None:
        generator = torch.Generator().manual_seed(4)
        files, offsets = counted.places(200, 100, generator)
        got = (counted.cut(files, offsets, 100) * 32768).round().int().numpy()
        assert set(files.tolist()) == {0, 1, 2}
        for cut, file, offset in zip(got, files.tolist(), offsets.tolist(), strict=True):
            length = int(counted.lengths[file])
            assert offset + 100 <= length or length < 100
            np.testing.assert_array_equal(cut, 1000 * file + (offset + np.arange(100)) % length)

    def test_every_place_can_be_drawn(self, make_pool: Callable[..., Pool]) -> None:
        generator = torch.Generator().manual_seed(5)
        pool = make_pool(np.arange(12))
        _, offsets = pool.places(400, 10, generator)
        assert set(offsets.tolist()) == {0, 1, 2}
        # A file shorter than the cut is repeated, from any of its samples.
        _, offsets = pool.places(400, 20, generator)
        assert set(offsets.tolist()) == set(range(12))

    @pytest.mark.parametrize(("evenness", "share"), [(0.0, 0.1), (0.5, 0.25), (1.0, 0.5)])
    def test_evenness(self, make_pool: Callable[..., Pool], evenness: float, share: float) -> None:
        pool = make_pool(np.zeros(100), np.zeros(900))
        files, _ = pool.places(4000, 10, torch.Generator().manual_seed(6), evenness)
        assert float((files == 0).double().mean()) == pytest.approx(share, abs=0.03)
