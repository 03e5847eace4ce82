"""Weights that an encoder has learnt from pictures, to begin a training with."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils import logging
from rich.console import Console
from segmentation_models_pytorch.encoders import get_encoder

from rtdenoise.train.data import DataError
from rtdenoise.train.networks.resunet import ResUNet


def begin_with(network: ResUNet, weights: str, console: Console) -> bool:
    """Give a new network the encoder weights that segmentation-models-pytorch fetches.

    Where they cannot be fetched the network stays as it is, and one line says so.

    Args:
        network: changed in place.
        weights: name that the library gives them: ``imagenet``.
        console: gets that line.

    Returns:
        whether they were fetched.

    Raises:
        DataError: there are none of that name for this encoder.
    """
    try:
        with _quiet():
            encoder = get_encoder(network.encoder, weights=weights)
    except KeyError as error:
        raise DataError(
            f"there are no {weights} weights for encoder {network.encoder!r}"
        ) from error
    except OSError as error:
        console.print(
            f"{weights} weights of {network.encoder} cannot be fetched "
            f"({type(error).__name__}); starting from random weights",
            highlight=False,
            soft_wrap=True,
        )
        return False
    known = network.unet.encoder.state_dict()
    fetched = {k: v for k, v in encoder.state_dict().items() if k in known}
    network.unet.encoder.load_state_dict(fetched)
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the hub's library says of each new try."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
