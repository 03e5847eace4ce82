"""What the packages hold reaches the folder as one talker each, clean and levelled."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from debs import build_debs

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import debian_packages
import debian_voices
from debian_voices import RATE_HZ, collect, utterance

HELD = {
    "festvox-ru": "usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav/{}.wav",
    "fillets-ng-data-nl": "usr/share/games/fillets-ng/sound/cellar/nl/cellar-m-{}.ogg",
    "gcin-voice": "usr/share/gcin-voice/ogg/{}/5.ogg",
    "hedgewars-data": "usr/share/games/hedgewars/Data/Sounds/voices/Pirate/{}.ogg",
    "kajongg": "usr/share/kajongg/voices/de/female1/{}.ogg",
    "klettres-data": "usr/share/klettres/uk/alpha/{}.ogg",
    "ktuberling-data": "usr/share/ktuberling/sounds/lt/{}.wav",
    "planetblupi-common": "usr/share/planetblupi/sound/fr/{}.wav",
    "tuxpaint-stamps-default": "usr/share/tuxpaint/stamps/food/{}_desc_el.ogg",
}
"""Where each package has recordings of a talker."""


def burst(
    path: Path, *, pause_dbfs: float = -90.0, gain: float = 0.2, rate: int = RATE_HZ, channels=1
) -> None:
    """Write 1 s of a tone between half seconds of faint noise."""
    rng = np.random.default_rng(len(str(path)))
    samples = rng.normal(size=2 * rate) * 10 ** (pause_dbfs / 20)
    samples[rate // 2 : -(rate // 2)] += gain * np.sin(2 * np.pi * 700 / rate * np.arange(rate))
    path.parent.mkdir(parents=True, exist_ok=True)
    clipped = np.clip(samples, -0.999, 0.999)
    soundfile.write(path, np.repeat(clipped[:, None], channels, axis=1), rate)


class TestUtterance:
    def levelled(self, path: Path) -> np.ndarray:
        said = utterance(path)
        assert said is not None
        return said

    @pytest.mark.parametrize("gain", [0.01, 0.5])
    def test_it_is_cut_and_levelled(self, tmp_path: Path, gain: float) -> None:
        burst(tmp_path / "a.wav", gain=gain, pause_dbfs=-100)
        said = self.levelled(tmp_path / "a.wav")
        assert said.dtype == np.float32
        assert 1.0 < said.size / RATE_HZ < 1.25
        tone = said[RATE_HZ // 2 : RATE_HZ // 2 + 1600]
        assert 10 * np.log10(np.mean(tone**2)) == pytest.approx(debian_voices.TALK_DBFS, abs=0.2)

    def test_any_rate_and_channels_above_16_khz(self, tmp_path: Path) -> None:
        burst(tmp_path / "a.wav", rate=44_100, channels=2)
        assert 1.0 < self.levelled(tmp_path / "a.wav").size / RATE_HZ < 1.25

    def test_it_begins_and_ends_in_silence(self, tmp_path: Path) -> None:
        burst(tmp_path / "a.wav", pause_dbfs=-60)
        said = self.levelled(tmp_path / "a.wav")
        assert said[0] == said[-1] == 0

    @pytest.mark.parametrize(
        "broken", [{"pause_dbfs": -45.0}, {"rate": 8000}, {"gain": 3.0}], ids=str
    )
    def test_noisy_narrow_and_clipped_ones_are_left_out(self, tmp_path: Path, broken) -> None:
        burst(tmp_path / "good.wav")
        burst(tmp_path / "bad.wav", **broken)
        assert utterance(tmp_path / "good.wav") is not None
        assert utterance(tmp_path / "bad.wav") is None

    def test_what_is_no_audio_is_left_out(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"RIFF, or not")
        soundfile.write(tmp_path / "b.wav", np.zeros(100), RATE_HZ)
        soundfile.write(tmp_path / "c.wav", np.zeros(RATE_HZ), RATE_HZ)
        assert [utterance(tmp_path / f"{name}.wav") for name in "abc"] == [None] * 3


class TestCollect:
    def spoken(self, tree: Path, talkers: dict[str, int]) -> None:
        for talker, files in talkers.items():
            for k in range(files):
                burst(tree / f"usr/share/klettres/{talker}/alpha/{talker}{k}.ogg")

    def test_a_folder_for_each_talker(self, tmp_path: Path) -> None:
        self.spoken(tmp_path / "tree", {"uk": 12, "nl": 9, "cs": 3})
        seconds = collect("klettres-data", tmp_path / "tree", tmp_path / "out", set())
        # Three words are too little to learn a voice from.
        assert seconds.keys() == {"klettres-data_uk", "klettres-data_nl"}
        for name, length in seconds.items():
            files = sorted((tmp_path / "out" / name).iterdir())
            written = sum(soundfile.info(f).duration for f in files)
            assert written == pytest.approx(length)
        assert seconds["klettres-data_uk"] > 1.2 * seconds["klettres-data_nl"]

    def test_languages_can_be_left_out(self, tmp_path: Path) -> None:
        self.spoken(tmp_path / "tree", {"uk": 9, "nl": 9})
        seconds = collect("klettres-data", tmp_path / "tree", tmp_path / "out", {"nl", "en"})
        assert seconds.keys() == {"klettres-data_uk"}

    def test_files_and_talkers_have_a_longest(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(debian_packages, "FILE_S", 4.0)
        monkeypatch.setattr(debian_voices, "TALKER_S", 10.0)
        self.spoken(tmp_path / "tree", {"uk": 12})
        seconds = collect("klettres-data", tmp_path / "tree", tmp_path / "out", set())
        assert seconds == {"klettres-data_uk": 10.0}
        files = sorted((tmp_path / "out" / "klettres-data_uk").iterdir())
        assert [soundfile.info(f).duration for f in files] == [4.0, 4.0, 2.0]


class TestPackages:
    def test_every_one_is_known_by_its_paths(self) -> None:
        assert HELD.keys() == debian_voices.TALKERS.keys()
        for package, path in HELD.items():
            assert re.search(debian_voices.TALKERS[package], path.format("7"))

    def test_music_and_robots_are_no_talkers(self) -> None:
        pattern = debian_voices.TALKERS["hedgewars-data"]
        for path in (
            "Sounds/voices/Robot/ouch1.ogg",
            "Sounds/voices/Singer/ouch1.ogg",
            "Music/a.ogg",
        ):
            assert not re.search(pattern, path)


class TestMain:
    @pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")
    def test_all_packages_end_in_one_folder(self, tmp_path: Path, capsys) -> None:
        for package, path in HELD.items():
            for k in range(9):
                burst(tmp_path / "source" / package / path.format(k))
        debs = build_debs(tmp_path / "source", tmp_path / "debs")
        out = tmp_path / "voices"
        debian_voices.main(out, packages=debs)
        assert f"of {len(HELD)} talkers" in capsys.readouterr().out
        talkers = {p.name.split("_")[0] for p in out.iterdir() if p.name != "licences"}
        assert talkers == HELD.keys()
        assert (out / "licences" / "kajongg.txt").read_text() == "kajongg: free"
