"""A page to listen to: tables of scores, and clips whose versions can be switched while playing.

The page is one file. Sounds and pictures are part of it, and it asks the network for
nothing, so that it can be sent to someone else.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from rtdenoise.audiofile import quantised
from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import FloatArray

ACTIVE_DB = 35.0
"""Speech is active where it is this little below its loudest moment."""

ACTIVE_MS = 20
"""Time over which that is decided."""

MOST_BOOST_DB = 20.0
"""What a model has muted is not blown up beyond this."""

PEAK = 0.99
"""Highest sample of what is played."""

SECTION = """\
<section aria-labelledby="clip{index}" data-seconds="{seconds}">
<h2 id="clip{index}">{name}</h2>
<div class="transport">
<button type="button" aria-label="Play {name}">Play</button>
<input type="range" min="0" max="{seconds}" step="0.05" value="0" aria-label="Position in {name}">
<output></output>
</div>
{versions}
{picture}
{sounds}
</section>"""
"""Of one clip."""

Rows = Sequence[Mapping[str, str]]
"""Cells by column title, as :mod:`rtdenoise.tables` makes them."""


@dataclass(frozen=True)
class Clip:
    """One recording in several versions.

    Attributes:
        name: heading of its section.
        rate: sample rate in Hz.
        versions: name of each, and its audio, float32 ``[samples]`` of one length: the
            noisy one, what each model made of it, the clean one.
        scores: by version, cells by column title, the same titles for all; a version may
            lack them.
        picture: WebP, or None.
    """

    name: str
    rate: int
    versions: dict[str, FloatArray]
    scores: dict[str, dict[str, str]]
    picture: bytes | None = None


def write_page(path: Path, title: str, tables: Mapping[str, str | Rows], clips: list[Clip]) -> None:
    """Write a page that shows tables and plays clips.

    Args:
        path: HTML file to write; replaced if it exists.
        title: heading of the page.
        tables: heading of each, and its rows, or text to show as it is.
        clips: in the order of the page.

    Raises:
        RtdenoiseError: the page cannot be written.
        ValueError: the versions of a clip differ in length.
    """
    parts = {
        "<!--title-->": escape(title),
        "<!--tables-->": "\n".join(_table(heading, table) for heading, table in tables.items()),
        "<!--clips-->": "\n".join(_clip(index, clip) for index, clip in enumerate(clips)),
    }
    page = (files("rtdenoise") / "page.html").read_text(encoding="utf-8")
    for mark, part in parts.items():  # escaped text holds no mark
        page = page.replace(mark, part)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RtdenoiseError(f"{path}: cannot be written ({error.strerror})") from error


def matched(versions: dict[str, FloatArray], rate: int) -> dict[str, FloatArray]:
    """Return versions of a recording at one loudness, so that the ear compares the rest.

    All have the RMS of the first one where speech is active, which the last one tells,
    being the cleanest. If one would clip, all are turned down together.

    Args:
        versions: float32 ``[samples]`` of one length, by name.
        rate: sample rate in Hz.

    Returns:
        the same, scaled.
    """
    active = _active(list(versions.values())[-1], rate)
    rms = {name: _rms(audio[active]) for name, audio in versions.items()}
    target = next(iter(rms.values()))
    most = 10 ** (MOST_BOOST_DB / 20)
    scaled = {
        name: audio * np.float32(min(most, target / rms[name]) if target and rms[name] else 1.0)
        for name, audio in versions.items()
    }
    peak = max(float(np.abs(audio).max(initial=0)) for audio in scaled.values())
    turned = np.float32(PEAK / max(peak, PEAK))
    return {name: audio * turned for name, audio in scaled.items()}


def _active(audio: FloatArray, rate: int) -> npt.NDArray[np.bool_]:
    """Return at which samples there is speech."""
    size = ACTIVE_MS * rate // 1000
    level = np.array([_rms(audio[start : start + size]) for start in range(0, audio.size, size)])
    loud = level >= level.max(initial=0) * 10 ** (-ACTIVE_DB / 20)
    return np.repeat(loud, size)[: audio.size]


def _rms(audio: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0


def _table(heading: str, table: str | Rows) -> str:
    """Return a heading with a table, or with text as it is."""
    if isinstance(table, str):
        body = f"<pre>{escape(table)}</pre>"
    else:
        titles = list(table[0]) if table else []
        rows = "\n".join(
            _row(escape(row[titles[0]]), [row[title] for title in titles[1:]]) for row in table
        )
        body = _framed(titles, rows)
    return f"<h2>{escape(heading)}</h2>\n{body}"


def _clip(index: int, clip: Clip) -> str:
    """Return the section of a clip: its player, whose versions are rows of its scores."""
    if len({audio.size for audio in clip.versions.values()}) != 1:
        raise ValueError(f"the versions of {clip.name!r} differ in length")
    titles = list(next(iter(clip.scores.values()), {}))
    rows = []
    for number, name in enumerate(clip.versions, 1):
        choice = (
            f'<label><input type="radio" name="clip{index}"{" checked" if number == 1 else ""}>'
            f"<kbd>{number}</kbd> {escape(name)}</label>"
        )
        scores = clip.scores.get(name, {})
        cells = [scores.get(title, "\u2013") for title in titles]
        rows.append(_row(choice, cells))
    samples = next(iter(clip.versions.values())).size
    sounds = "\n".join(
        f'<script type="text/plain">{_flac(audio, clip.rate)}</script>'
        for audio in matched(clip.versions, clip.rate).values()
    )
    picture = ""
    if clip.picture is not None:
        source = "data:image/webp;base64," + b64encode(clip.picture).decode()
        picture = (
            f'<div class="wide"><img src="{source}" decoding="async" '
            f'alt="Spectrograms, levels and gains of {escape(clip.name)}"></div>'
        )
    fill = {
        "index": str(index),
        "name": escape(clip.name),
        "seconds": f"{samples / clip.rate:.3f}",
        "versions": _framed(["version", *titles], "\n".join(rows)),
        "sounds": sounds,
        "picture": picture,
    }
    return SECTION.format_map(fill)


def _framed(titles: list[str], rows: str) -> str:
    """Return a table that scrolls by itself where the screen is narrow."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'


def _row(first: str, cells: list[str]) -> str:
    """Return a row of a table; the first cell, its heading, is HTML."""
    rest = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{first}</th>{rest}</tr>'


def _flac(audio: FloatArray, rate: int) -> str:
    """Return audio as a FLAC file of 16 bits in base64."""
    file = BytesIO()
    samples = quantised(audio, "PCM_16")
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return b64encode(file.getvalue()).decode()
