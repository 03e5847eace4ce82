"""`rtdenoise bench streams`: the tables that it prints, and what it refuses."""

import pytest

from rtdenoise import RtdenoiseError
from rtdenoise.cli_bench import bench_app


def streams(*arguments):
    bench_app(["streams", *map(str, arguments)], standalone_mode=False)


def rows(table):
    """Return the rows of a Markdown table by column title."""
    titles, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()
    )
    return [dict(zip(titles, line, strict=True)) for line in lines]


def test_times_and_the_most_streams_are_shown(capsys):
    streams("--model", "wiener", "--streams", 1, "--streams", 9, "--seconds", 0.1, "--most", 4)
    times, most = map(rows, capsys.readouterr().out.split("\n\n"))
    assert [row["streams"] for row in times] == ["1", "9"]
    for row in times:
        assert (row["model"], row["device"], row["rate Hz"]) == ("wiener", "cpu", "16000")
        assert 0 < float(row["p50 ms"]) <= float(row["p99 ms"])
        assert float(row["p99 % of hop"]) == pytest.approx(10 * float(row["p99 ms"]), abs=0.6)
    assert most[0]["most live streams"] in ("0", "1", "2", "3", "4+")


def test_the_search_can_be_left_out(capsys):
    options = ("--model", "dncnn", "--streams", 10, "--seconds", 0.05, "--threads", 2)
    streams(*options, "--device", "auto", "--most", 0, "--rate", 48_000)
    (row,) = rows(capsys.readouterr().out)
    assert (row["model"], row["rate Hz"], row["streams"]) == ("dncnn", "48000", "10")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "wiener", "--model", "nothing"], "nothing"),
        (["--model", "wiener", "--rate", 1_000], "1000 Hz"),
        (["--model", "wiener", "--device", "tpu"], "tpu"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, message):
    with pytest.raises(RtdenoiseError, match=message) as caught:
        streams(*arguments)
    assert "\n" not in str(caught.value)
