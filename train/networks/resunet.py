"""A U-Net with a ResNet encoder that sees patches of the spectrogram as images.

The U-Net is that of segmentation-models-pytorch (O. Ronneberger et al., "U-Net:
convolutional networks for biomedical image segmentation", MICCAI 2015,
https://arxiv.org/abs/1505.04597); the encoder is a residual network (K. He et al., "Deep
residual learning for image recognition", CVPR 2016, https://arxiv.org/abs/1512.03385). A
1x1 convolution lifts the one channel of a patch to the three of a picture, another one and
a sigmoid make a gain of what the decoder gives. The decoder's last stage sees the picture
itself too: the encoder halves it at once, and the harmonics of a voice lie few bins apart.

A patch holds the last 64 frames, its newest column is now. Every ``emit_frames`` frames the
network looks at such a patch, and the gains of the newest ``emit_frames`` columns come out,
one a frame, so each is ``emit_frames - 1`` frames late. Where two patches meet, the
difference of their estimates of the same frame fades out.

Each patch is divided by its own level and compressed, so gains do not depend on volume.
"""

from typing import Any

import torch
from torch import Tensor, nn

COMPRESSION = 0.3
"""Exponent on magnitudes: about how loudness grows with amplitude."""

FLOOR = 1e-6
"""Level below which a patch counts as silence: a tone at -120 dBFS."""

CHANNELS = 3
"""Channels of the pictures that encoders were made for."""

STAGES = 4
"""Stages of a residual network behind its first layer."""

PATCHES_AT_A_TIME = 64
"""Patches of a clip that go through the network together: enough for any device."""


class ResUNet(nn.Module):
    """The network: magnitudes in, gains in [0, 1] out, with explicit state.

    Args:
        bins: frequency bins of a frame. The highest one takes the gain of the one below,
            the others are the height of the picture: a multiple of ``2 ** encoder_depth``.
        encoder: name of a residual network: resnet18, resnet34, resnet50, resnet101, ...
        encoder_depth: times that it halves the picture, 3 to 5.
        width: channels of the decoder's first stage, halved by each that follows.
        window_frames: frames of a patch, a multiple of ``2 ** encoder_depth``.
        emit_frames: frames from one patch to the next when it streams.

    Raises:
        ValueError: the sizes do not fit together, the encoder is unknown, or the package
            ``segmentation-models-pytorch`` is missing.
    """

    takes = "magnitude"

    def __init__(
        self,
        bins: int = 161,
        encoder: str = "resnet101",
        encoder_depth: int = 4,
        width: int = 128,
        window_frames: int = 64,
        emit_frames: int = 16,
    ) -> None:
        super().__init__()
        if not 3 <= encoder_depth <= 5:
            raise ValueError(f"encoder_depth must be 3 to 5, not {encoder_depth}")
        smallest = 2**encoder_depth
        if (bins - 1) % smallest:
            raise ValueError(f"bins must be a multiple of {smallest} plus 1, not {bins}")
        if window_frames % smallest:
            raise ValueError(
                f"patches must be a multiple of {smallest} frames long, not {window_frames}"
            )
        if not 1 <= emit_frames < window_frames:
            raise ValueError(f"emit_frames must be 1 to {window_frames - 1}, not {emit_frames}")
        if width % (smallest // 2):
            raise ValueError(f"width must be a multiple of {smallest // 2}, not {width}")
        self.bins = bins
        self.encoder = encoder
        self.window_frames = window_frames
        self.emit_frames = emit_frames
        self.lift = nn.Conv2d(1, CHANNELS, 1)
        self.unet = _unet(encoder, encoder_depth, width)
        with torch.no_grad():
            # Compressed magnitudes have a mean of about 0.5; pictures are centred.
            self.lift.weight.fill_(3.0)
            self.lift.bias.fill_(-1.5)

    def patch(self, magnitude: Tensor) -> Tensor:
        """Return the gains of whole patches, each on its own.

        Shape:
            float ``[patches, window_frames, bins]``, twice.
        """
        picture = magnitude[..., :-1]
        level = picture.square().mean((1, 2), keepdim=True).sqrt().clamp(min=FLOOR)
        picture = (picture / level).pow(COMPRESSION).unsqueeze(1)
        features = self.unet.encoder(self.lift(picture))
        # The first feature is the picture: once more before it, and the last stage skips to it.
        decoded = self.unet.decoder([features[0], *features])
        gain = torch.sigmoid(self.unet.segmentation_head(decoded).float()).squeeze(1)
        return torch.cat((gain, gain[..., -1:]), dim=-1)

    def newest(self, magnitude: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gains of new frames and of the one before them, and the new history.

        Shape:
            magnitude ``[streams, frames, bins]``, ``frames < window_frames``; history
            ``[streams, window_frames - 1, bins]``; gains ``[streams, frames + 1, bins]``.
        """
        seen = torch.cat((history, magnitude), dim=1)
        gain = self.patch(seen[:, -self.window_frames :])
        return gain[:, -magnitude.shape[1] - 1 :], seen[:, 1 - self.window_frames :]

    def start(self, streams: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """Return the state before the first frame.

        Shape:
            ``history``: magnitudes ``[streams, window_frames - 1, bins]``; ``ready``: gains
            of the last patch, faded, ``[streams, emit_frames, bins]``; ``count``: frames
            so far, integer ``[streams]``, the same for all.
        """
        history = torch.zeros(streams, self.window_frames - 1, self.bins, device=device)
        ready = torch.zeros(streams, self.emit_frames, self.bins, device=device)
        count = torch.zeros(streams, dtype=torch.int64, device=device)
        return {"history": history, "ready": ready, "count": count}

    def forward(
        self, magnitude: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what streaming gives: for each frame the gain of ``emit_frames - 1`` before.

        Frames may come in any portions. The first ``emit_frames - 1`` gains of a stream
        stand for nothing and are 0.

        Shape:
            magnitude and gain: float ``[streams, frames, bins]``, ``frames >= 1``.
        """
        frames, emit, window = magnitude.shape[1], self.emit_frames, self.window_frames
        count = _number(state["count"])
        seen = torch.cat((state["history"], magnitude), dim=1)
        # A patch that ends with frame k of these ends at place k + window - 1 of what is seen.
        first = (-count - 1) % emit
        ready = state["ready"]
        if first < frames:
            patches = seen[:, first:].unfold(1, window, emit).transpose(2, 3)
            newest = self._look(patches)
            faded = _cross_fade(newest, ready[:, -1] if count >= emit else None)
            ready = torch.cat((ready, faded.flatten(1, 2)), dim=1)
        begin = count % emit + 1
        after = {
            "history": seen[:, 1 - window :],
            "ready": ready[:, -emit:],
            "count": state["count"] + frames,
        }
        return ready[:, begin : begin + frames], after

    def _look(self, patches: Tensor) -> Tensor:
        """Return the gains of the newest columns of patches, and of the one before them.

        Shape:
            ``[streams, patches, window_frames, bins]`` to
            ``[streams, patches, emit_frames + 1, bins]``.
        """
        parts = patches.flatten(0, 1).split(PATCHES_AT_A_TIME)
        gains = torch.cat([self.patch(part)[:, -self.emit_frames - 1 :] for part in parts])
        return gains.unflatten(0, patches.shape[:2])


@torch.compiler.disable  # which would warn that it cannot look into this
def _number(count: Tensor) -> int:
    """Return the number of frames so far, which is the same for all streams."""
    return int(count[0])


def _cross_fade(newest: Tensor, last: Tensor | None) -> Tensor:
    """Let the difference between patches where they meet fade out over half of the next one.

    Args:
        newest: estimates of consecutive patches: the frame before, and the new frames.
        last: the gain that was given for the frame before the first patch; None where there
            was none.

    Shape:
        ``[streams, patches, emit_frames + 1, bins]`` and ``[streams, bins]`` to
        ``[streams, patches, emit_frames, bins]``.
    """
    before, gains = newest[:, :, :1], newest[:, :, 1:]
    fading = gains.shape[2] // 2
    # The last frame of a patch is beyond its own fade, so it is given as it was estimated.
    given = torch.cat((before[:, :1, 0] if last is None else last[:, None], gains[:, :-1, -1]), 1)
    ramp = 1 - torch.arange(1, fading + 1, device=gains.device) / (fading + 1)
    apart = given.unsqueeze(2) - before
    faded = (gains[:, :, :fading] + ramp[:, None] * apart).clamp(0, 1)
    return torch.cat((faded, gains[:, :, fading:]), dim=2)


def _unet(encoder: str, depth: int, width: int) -> nn.Module:
    """Return the U-Net of one channel with random weights, without the stages it leaves out."""
    try:  # here, as it takes seconds to import
        from segmentation_models_pytorch import Unet
        from segmentation_models_pytorch.base.initialization import initialize_decoder
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
        from segmentation_models_pytorch.encoders.resnet import resnet_encoders
    except ImportError as error:
        raise ValueError("it needs a package: pip install segmentation-models-pytorch") from error
    if encoder not in resnet_encoders:
        raise ValueError(f"encoder {encoder!r} is unknown; use one of {', '.join(resnet_encoders)}")
    widths = tuple(width >> stage for stage in range(depth))
    unet: Any = Unet(encoder, depth, encoder_weights=None, decoder_channels=widths)
    for stage in range(depth, STAGES + 1):
        delattr(unet.encoder, f"layer{stage}")
    unet.decoder.blocks[-1] = UnetDecoderBlock(widths[-2], CHANNELS, widths[-1])
    initialize_decoder(unet.decoder.blocks[-1])
    unet.segmentation_head = nn.Conv2d(widths[-1], 1, 1)
    return unet
