"""Pictures of one recording in several versions: spectrograms, gains and levels."""

import warnings
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rtdenoise.errors import RtdenoiseError
from rtdenoise.spectrogram import Spectrogram, gain_db, level_db, spectrogram
from rtdenoise.stft import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANGE_DB = 70.0
"""From the loudest value of all panels down to black."""

GAIN_RANGE_DB = 40.0
"""From no change, which is bright, down to dark."""

WEBP_QUALITY = 85
"""Of 100: fine lines stay legible."""

COLOURS = ("#777777", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Of the levels, which a colour-blind eye tells apart; the noisy input is grey."""


def draw_spectrograms(versions: dict[str, FloatArray], rate: int, path: Path) -> None:
    """Write a picture of spectrograms below each other, on one dB scale.

    Args:
        versions: title of each panel, and its audio, float32 ``[samples]``.
        rate: sample rate in Hz.
        path: image to write; its suffix is the format.

    Raises:
        RtdenoiseError: matplotlib is missing, or the image cannot be written.
    """
    figure = _figure(10, 2.2 * len(versions) + 0.5)
    spectra = {title: spectrogram(audio, rate) for title, audio in versions.items()}
    panels = figure.subplots(len(versions), sharex=True, squeeze=False)[:, 0]
    top_db = max(float(shown.db.max()) for shown in spectra.values())
    for panel, (title, shown) in zip(panels, spectra.items(), strict=True):
        image = _show(panel, shown, shown.db, (top_db - RANGE_DB, top_db), "magma")
        _name(panel, title)
        panel.set_ylabel("kHz")
    panels[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=list(panels), label="dB", shrink=0.8)
    _save(figure, path, dpi=80)


def draw_comparison(versions: dict[str, FloatArray], rate: int, target: Path | BinaryIO) -> None:
    """Write a picture of a noisy recording beside what was made of it.

    On top are the spectrograms, on one dB scale. Below them are the level of each version
    over time, in the colour of its title, and by how much each version differs from the
    noisy one: the gain that a model applied, and the gain that would give a reference.

    Args:
        versions: title of each, and its audio, float32 ``[samples]`` of one length; the
            first is the noisy one.
        rate: sample rate in Hz.
        target: image to write, in the format of its suffix, or where to write a WebP, which
            takes a fifth of a PNG's room.

    Raises:
        RtdenoiseError: matplotlib is missing, or the image cannot be written.
    """
    figure = _figure(3.7 * len(versions) + 1.2, 5.6)
    from matplotlib import colormaps

    spectra = [spectrogram(audio, rate) for audio in versions.values()]
    noisy = spectra[0]
    top_db = max(float(shown.db.max()) for shown in spectra)
    bottom_db = top_db - RANGE_DB
    upper, lower = figure.subplots(2, len(versions), sharex=True, squeeze=False)
    gains = colormaps["viridis"].with_extremes(bad="#bbbbbb")  # grey: too quiet for a ratio
    for index, (title, audio) in enumerate(versions.items()):
        colour = COLOURS[index % len(COLOURS)]
        image = _show(upper[index], spectra[index], spectra[index].db, (bottom_db, top_db), "magma")
        _name(upper[index], title, colour)
        lower[0].plot(*level_db(audio, rate), color=colour, linewidth=1.2)
        if index > 0:
            gain = gain_db(spectra[index], noisy, bottom_db)
            change = _show(lower[index], noisy, gain, (-GAIN_RANGE_DB, 0), gains)
            _name(lower[index], "gain")
        lower[index].set_xlabel("seconds")
    figure.colorbar(image, ax=list(upper), label="dB")
    if len(versions) > 1:
        figure.colorbar(change, ax=list(lower), label="dB", extend="both")
        lower[1].set_ylabel("kHz")
    upper[0].set_ylabel("kHz")
    loudest_db = max(float(level_db(audio, rate)[1].max()) for audio in versions.values())
    lower[0].set_xlim(0, noisy.seconds)
    lower[0].set_ylim(loudest_db - RANGE_DB, loudest_db + 3)
    lower[0].grid(alpha=0.3)
    lower[0].set_ylabel("dB of full scale")
    _name(lower[0], "level")
    _save(figure, target, dpi=100)


def check_drawing() -> None:
    """Raise :class:`RtdenoiseError` if the package that draws is missing."""
    try:
        import_module("matplotlib")
    except ImportError as error:
        raise RtdenoiseError("pictures need a package: pip install 'rtdenoise[plot]'") from error


def _figure(width: float, height: float) -> "Figure":
    """Return an empty picture; its size is in inches."""
    check_drawing()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _show(
    panel: Any, shown: Spectrogram, db: FloatArray, range_db: tuple[float, float], colours: Any
) -> Any:
    """Show values over time and frequency, and return what a colour bar needs."""
    return panel.imshow(
        db.T,
        origin="lower",
        aspect="auto",
        extent=(0, shown.seconds, 0, shown.rate / 2000),
        vmin=range_db[0],
        vmax=range_db[1],
        cmap=colours,
    )


def _name(panel: Any, title: str, colour: str = "black") -> None:
    # A title may be the name of a file, and dollar signs would make it a formula.
    panel.set_title(title, x=0, ha="left", fontsize=10, color=colour, parse_math=False)


def _shorten_titles(figure: "Figure") -> None:
    """Take the middle out of titles that would run into the panel beside theirs."""
    titles = {panel: panel.title.get_text() for panel in figure.axes}
    for panel, whole in titles.items():
        panel.title.set_text(whole[:1])  # panels would make room for all of it
    figure.draw_without_rendering()  # only then they have their sizes
    for panel, whole in titles.items():
        room, kept = panel.get_window_extent().width, len(whole)
        panel.title.set_text(whole)
        while kept > 0 and panel.title.get_window_extent().width > room:
            kept -= 1
            ending = whole[len(whole) - kept // 2 :]
            panel.title.set_text(f"{whole[: kept - kept // 2]}\N{HORIZONTAL ELLIPSIS}{ending}")


def _save(figure: "Figure", target: Path | BinaryIO, dpi: int) -> None:
    """Write the picture at once, so that a failure leaves no part of it."""
    image = BytesIO()
    suffix = target.suffix if isinstance(target, Path) else ".webp"
    try:
        with warnings.catch_warnings():
            # A title in a script that the font lacks shows boxes; that is warning enough.
            warnings.filterwarnings("ignore", message="Glyph")
            _shorten_titles(figure)
            if suffix == ".webp":  # other formats take no quality
                quality = {"quality": WEBP_QUALITY}
                figure.savefig(image, dpi=dpi, format="webp", pil_kwargs=quality)
            else:
                figure.savefig(image, dpi=dpi, format=suffix.removeprefix(".") or "png")
        if isinstance(target, Path):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(image.getvalue())
        else:
            target.write(image.getvalue())
    except ValueError as error:
        raise RtdenoiseError(f"{target}: no picture has this suffix; use .png") from error
    except OSError as error:
        raise RtdenoiseError(f"{target}: cannot be written ({error.strerror})") from error
