"""Collects freely licensed recordings of noises from Debian packages, to train with.

    python scripts/debian_noises.py noises/
    rtdenoise train dualpath --preset base --speech speech/ --noise noises/ --run runs/mine

Games and desktop programs hold forty minutes of engines, vehicles, machines, crowds,
weather, animals, keyboards, doors and impacts. The packages are downloaded with apt (0.5 GB, on
Debian or Ubuntu, as any user) and not installed. Each becomes a folder of FLAC files of up to
100 s; the packages' licences lie beside them. Short loops are repeated.
"""

import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from debian_packages import RATE_HZ, recording, shuffled, unpacked, write_pieces

from rtdenoise.cli import run

NOISES = {
    "7kaa-data": r"/(rain|thunder|wind|fire|quake)\.",
    "ardentryst": r"rain_loop|amb_intro_[126]|_step_",
    "btanks-data": r"ambient/(city|country|forest|swamp)|engine-|vehicle-sound|tank-move|"
    r"helicopter|/train\.|klaxon\.|explosion|/shot|sounds/fire|man-steps",
    "bucklespring-data": r"wav/[0-9a-f]{2}-[01]",
    "caveexpress-data": r"crate-hit|stone-hit|waterfall|water-(impact|leave|rising)|geyser",
    "dustracing2d-data": r"carengine|skid|carhit|cheering|/pit\.",
    "etw-data": r"crowd|snd/(fondo|boou|cannon|crash|palo)|intro/(brake|engine)",
    "fillets-ng-data": r"pracka|mot-x-motor|unlocking|linux/en/(key|enter)|bat-t-(budik|phone)",
    "flare-game": r"environment/(rain|cave_wind|wind_loop)|thunder|bird_twitter|forest_owl|raven|"
    r"cave_drop|open_fire|river|anvil|falling_rocks|minecart|door_open|steps/|stairs",
    "gl-117-data": r"plane1|cannon|explode|missile|thunder",
    "gnome-shell-pomodoro-data": r"/(birds|timer|clock)\.",
    "lincity-ng-data": r"trafic|railtrain|parklandplane|truckengine|sportscroud|industry|"
    r"windmill|powercoal(full|med|low)|/mill\d",
    "mame-data": r"seek|spin|step",
    "micropolis-data": r"/(honk|ignition|skid|siren|bulldozer|heavytraffic|explosion|rumble)",
    "minetest-mod-homedecor": r"shower|toilet|faucet|door_|gate|coin|toaster|trash|fire_",
    "netpanzer-data": r"hevidle|hevmov|hevstart|tankidle|battle_|expl_|hit_|-fire",
    "plee-the-bear-data": r"weather/rain|earthquake|forest/(frog|woodpecker)",
    "scorched3d-data": r"cessna|helicopter|apache|/f1[68]_|/t38|/jet\.|tankmove|carhorn|"
    r"firetruck|policecar|citysounds|cheeringloop|factoryloop",
    "scratch": r"animal/|carpassing|motorcycle|bubbles|ripples|waterrunning|waterdrop|door|"
    r"sewing|typing|partynoise|footsteps|cough|sneeze",
    "searchandrescue-data": r"engine_|/hh6|skid|screech|gear_",
    "simutrans-pak64": r"bus|truck|plane|jet|diesel|steam|crossing|boat-horn|buzzsaw|jackhammer",
    "triplea": r"gallop|sword|explosion|volley|artillery|battle_(air|land)|motor_engine|"
    r"industrial_noise|engine_|whirling|people_cheering|door_|type_?writer|sawing_wood|"
    r"air_raid|marching|splash_and_waves",
    "tuxfootball": r"crowd|ingame|bounce|kick",
}
"""Which files of a package are noises. Voices and music are left out."""

SUFFIXES = (".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav")

LEAST_RATE_HZ = 11_025
LEAST_S, MOST_S = 0.03, 100.0
"""Least and most of a sound."""

PEAK, MOST_GAIN_DB = 0.5, 30.0
SILENCE_DB = -44.0
"""What lies so far below a sound's peak at its ends is cut off."""

LOOP_DB, LEAST_LOOP_S, LOOP_S = -12.0, 0.3, 4.0
"""A shorter sound whose ends are no more than this below its level is repeated for so long, unless
it is a click."""

FADE_SAMPLES = RATE_HZ // 100
END_SAMPLES = RATE_HZ // 20
"""By which the level of an end is judged."""


def main(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    packages: Annotated[
        Path | None, typer.Option(help="Folder of .deb files that are downloaded already.")
    ] = None,
) -> None:
    """Download, choose, and write."""
    seconds = {
        package: collect(package, tree, out) for package, tree in unpacked(NOISES, out, packages)
    }
    heard = [package for package in seconds if seconds[package]]
    print(f"{out}: {sum(seconds.values()) / 60:.0f} min from {len(heard)} packages")
    if without := sorted(seconds.keys() - heard):
        print(f"Nothing was found in {', '.join(without)}: have their files other names now?")


def collect(package: str, tree: Path, out: Path) -> float:
    """Write the noises of an unpacked package and return how many seconds they have."""
    pattern = re.compile(NOISES[package], re.IGNORECASE)
    paths = [
        path
        for path in sorted(tree.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not path.is_symlink()
        and pattern.search(f"/{path.relative_to(tree).as_posix()}")
    ]
    with ProcessPoolExecutor() as pool:
        sounds = [s for s in pool.map(sound, paths, chunksize=8) if s is not None]
    return write_pieces(np.concatenate(shuffled(sounds)), out / package) if sounds else 0.0


def sound(path: Path) -> np.ndarray | None:
    """Return what is heard in a file, cut and levelled, or None where that is nothing.

    Shape:
        float32 ``[samples]`` at 16 kHz.
    """
    whole = recording(path, LEAST_RATE_HZ)
    if whole is None:
        return None
    whole -= whole.mean()
    peak = np.abs(whole).max()
    (heard,) = np.nonzero(np.abs(whole) > peak * 10 ** (SILENCE_DB / 20))
    if heard.size == 0 or heard[-1] - heard[0] < LEAST_S * RATE_HZ:
        return None
    cut = whole[heard[0] : heard[-1] + 1][: round(MOST_S * RATE_HZ)]
    cut = cut * min(PEAK / peak, 10 ** (MOST_GAIN_DB / 20))
    is_short = LEAST_LOOP_S <= cut.size / RATE_HZ < LOOP_S
    return _repeated(cut) if is_short and _is_loop(cut) else cut


def _is_loop(samples: np.ndarray) -> bool:
    """Tell whether a sound neither sets in nor dies away."""
    level = np.sqrt(np.mean(samples**2)) * 10 ** (LOOP_DB / 20)
    ends = (samples[:END_SAMPLES], samples[-END_SAMPLES:])
    return all(np.sqrt(np.mean(end**2)) > level for end in ends)


def _repeated(samples: np.ndarray) -> np.ndarray:
    """Return a sound again and again, each time fading into the next."""
    fade = min(FADE_SAMPLES, samples.size // 4)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    step = samples.size - fade
    times = int(np.ceil(LOOP_S * RATE_HZ / step))
    looped = np.zeros(times * step + fade, np.float32)
    shaped = samples.copy()
    shaped[:fade] *= ramp
    shaped[-fade:] *= ramp[::-1]
    for k in range(times):
        looped[k * step : k * step + samples.size] += shaped
    return looped


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    run(app)
