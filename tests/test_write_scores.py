"""Scores reach cards and the README whole, and nothing else there changes."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import write_scores

from rtdenoise.bench import Bench
from rtdenoise.model import Card, list_models, read_card
from rtdenoise.statistics import Interval
from rtdenoise.stft import StftConfig

SCORES = {"pesq_wb": 1.98767, "estoi": 0.7}


def bench(rate: int, rtf: float) -> Bench:
    return Bench("toy", rate, 20.0, 0.1, 0.2, rtf, rtf / 2)


def card(name: str, **details: object) -> Card:
    return Card(name, "A toy", "MIT", StftConfig(), 0, None, details)


class TestSpecs:
    def test_a_patch_model_is_scored_for_each_number_of_hops(self) -> None:
        patch = {"window_frames": 64, "emit_frames": 4}
        assert write_scores.specs_of(card("toy", patch=patch)) == ["toy@1", "toy@16"]

    def test_others_are_scored_once(self) -> None:
        assert write_scores.specs_of(card("toy")) == ["toy"]
        for name in list_models():
            assert all(s.startswith(name) for s in write_scores.specs_of(read_card(name)))


class TestCards:
    def write(self, folder: Path, name: str, specs: list[str]) -> dict[str, object]:
        path = folder / "card.json"
        path.write_text(json.dumps({"name": name, "licence": "MIT", "scores": {"old": 1}}))
        measured = [bench(16_000, 0.02345678), bench(48_000, 0.03)]
        entry = {"mean": write_scores.rounded(SCORES)} | write_scores.cost_entry(measured)
        entries = dict.fromkeys(specs, entry)
        write_scores.write_card(path, {"about": "some pairs", "clips": 3}, entries)
        values = json.loads(path.read_text())
        assert (values["name"], values["licence"]) == (name, "MIT")
        return values["scores"]

    def test_of_a_model(self, tmp_path: Path) -> None:
        assert self.write(tmp_path, "toy", ["toy"]) == {
            "about": "some pairs",
            "clips": 3,
            "mean": {"pesq_wb": 1.9877, "estoi": 0.7},
            "latency_ms": 20.0,
            "rtf_by_hop": {"16000": 0.0235, "48000": 0.03},
        }

    def test_of_a_patch_model_by_how_often_it_runs(self, tmp_path: Path) -> None:
        scores = self.write(tmp_path, "toy", ["toy@1", "toy@16"])
        assert scores.keys() == {"about", "clips", "toy@1", "toy@16"}
        assert scores["toy@1"]["mean"]["estoi"] == 0.7

    @pytest.mark.parametrize("specs", [["toy"], ["toy@1", "toy@16"]])
    def test_what_is_kept_is_read_as_it_was_written(self, tmp_path: Path, specs: list[str]) -> None:
        self.write(tmp_path, "toy", specs)
        for spec in specs:
            assert write_scores.read_entry(tmp_path / "card.json", spec) == {
                "mean": write_scores.rounded(SCORES),
                "latency_ms": 20.0,
                "rtf_by_hop": {"16000": 0.0235, "48000": 0.03},
            }

    def test_what_they_were_measured_on_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        self.write(tmp_path, "toy", ["toy"])
        common = write_scores.read_common(tmp_path / "card.json")
        assert common == {"about": "some pairs", "clips": 3}

    def test_of_a_model_without_one_nothing_is_known(self, tmp_path: Path) -> None:
        assert write_scores.read_entry(tmp_path / "card.json", "wiener", ("mean",)) == {}

    def test_new_weights_have_no_scores_to_keep(self, tmp_path: Path) -> None:
        path = tmp_path / "card.json"
        path.write_text(json.dumps({"name": "toy"}))
        assert write_scores.read_entry(path, "toy") == {}
        with pytest.raises(SystemExit, match="lacks mean of toy"):
            write_scores.read_entry(path, "toy", ("mean",))


class TestTable:
    ROWS = ({"model": r"a \1", "PESQ-WB": "1.9"}, {"model": "b", "PESQ-WB": "2.0"})

    def test_replaces_what_stands_between_the_comments(self, tmp_path: Path) -> None:
        readme = tmp_path / "README.md"
        readme.write_text("before\n<!-- scores -->\nold\n<!-- /scores -->\nafter\n")
        for _ in range(2):
            write_scores.write_table(readme, list(self.ROWS), "three pairs")
            lines = readme.read_text().splitlines()
            assert (lines[0], lines[1], lines[-2], lines[-1]) == (
                "before",
                "<!-- scores -->",
                "<!-- /scores -->",
                "after",
            )
            assert lines.count("Measured on three pairs.") == 1
            assert [line.split("|")[1].strip() for line in lines[4:6]] == [r"a \1", "b"]

    def test_cells_that_are_kept_are_read_as_they_were_written(self, tmp_path: Path) -> None:
        found = dict.fromkeys(write_scores.HEADLINE, Interval(1.5, 1.25, 1.75, 0, 0))
        scores = {name: write_scores.score_cells(name, found) for name in ("noisy", "toy@16")}
        cost = write_scores.cost_cells([bench(16_000, 0.5)])
        readme = tmp_path / "README.md"
        readme.write_text("<!-- scores -->\n<!-- /scores -->\n")
        rows = {name: cells | cost for name, cells in scores.items()}
        write_scores.write_table(readme, list(rows.values()), "x")
        assert write_scores.read_table(readme) == rows

    def test_refuses_a_readme_without_its_place(self, tmp_path: Path) -> None:
        readme = tmp_path / "README.md"
        readme.write_text("nothing\n")
        with pytest.raises(SystemExit, match="lacks its two"):
            write_scores.write_table(readme, list(self.ROWS), "x")
        assert readme.read_text() == "nothing\n"


def test_a_peer_costs_at_its_own_rate_and_has_an_interval_if_known(tmp_path: Path) -> None:
    header = ["model", "latency_ms", "rate_hz", "rtf"]
    values = {"DTLN": ["32", "16000", "0.04"], "Whole": ["inf", "48000", "0.1"]}
    for metric in write_scores.HEADLINE:
        header += [metric, f"{metric}_low", f"{metric}_high"]
        values["DTLN"] += ["1.5", "1.25", "1.75"]
        values["Whole"] += ["1.5", "", ""]
    lines = [",".join(header), *(",".join([k, *v]) for k, v in values.items())]
    (tmp_path / "peers.csv").write_text("\n".join(lines))
    known, unknown = write_scores.read_peers(tmp_path / "peers.csv")
    assert known["model"] == "*DTLN*"
    assert (known["latency ms"], known["RTF 16 kHz"], known["RTF 48 kHz"]) == ("32", "0.040", "")
    assert known["PESQ-WB"] == "1.50 ±0.25"
    assert unknown["PESQ-WB"] == "1.50"
    assert unknown["latency ms"] == "whole"


def test_what_has_no_cost_leaves_its_cells_empty() -> None:
    row = write_scores.cost_cells([])
    assert set(row.values()) == {""}
    found = dict.fromkeys(write_scores.HEADLINE, Interval(1.0, 0.9, 1.1, 0, 0))
    assert write_scores.score_cells("noisy", found)["model"] == "noisy"
