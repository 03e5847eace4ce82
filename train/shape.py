"""The options that shape a network: which it has, and how long its patches are."""

import inspect

from rtdenoise.stft import StftConfig
from rtdenoise.train.data import RATE_HZ, DataError
from rtdenoise.train.networks import NETWORKS

Arguments = dict[str, float | str]
"""What a network's constructor is given, by name."""

SQUARE_FRAMES = 161
"""Frames of a patch that has as many as it has bins."""


def windows(analysis_ms: float) -> StftConfig:
    """Return windows and hop of which the analysis window is ``analysis_ms`` long.

    Raises:
        DataError: it does not fit the other two.
    """
    try:
        return StftConfig(analysis_ms=analysis_ms)
    except ValueError as error:
        raise DataError(f"--analysis-ms {analysis_ms:g}: {error}") from error


def network_arguments(
    network: str, given: dict[str, float | str | None], stft: StftConfig
) -> Arguments:
    """Return what was given of the options that shape a network, and the bins that it sees.

    Raises:
        DataError: the network is unknown, or has no such option.
    """
    if network not in NETWORKS:
        raise DataError(f"network {network!r} is unknown; there are: {', '.join(NETWORKS)}")
    known = inspect.signature(NETWORKS[network]).parameters
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in known:
            options = ", ".join(_option(n) for n in given if n in known)
            raise DataError(f"{network} has no option {_option(name)}; it has {options}")
    bins = stft.bins(RATE_HZ)
    return chosen if bins == known["bins"].default else chosen | {"bins": bins}


def with_defaults(network: str, arguments: Arguments) -> Arguments:
    """Return the arguments of a network with those that were left as they are."""
    known = inspect.signature(NETWORKS[network]).parameters
    return {name: parameter.default for name, parameter in known.items()} | arguments


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def with_patches(network: str, arguments: Arguments, given: int | None) -> tuple[Arguments, int]:
    """Return the arguments and the frames of a patch, for which some networks are made.

    Args:
        network: its name.
        arguments: what its constructor is given otherwise.
        given: frames that were asked for; None for those that suit the network.
    """
    window = inspect.signature(NETWORKS[network]).parameters.get("window_frames")
    if window is None:
        return arguments, given or SQUARE_FRAMES
    if given is None:
        return arguments, window.default
    return arguments | {"window_frames": given}, given
