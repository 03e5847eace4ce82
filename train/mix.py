"""Makes training batches: speech and noise mixed and augmented on the device."""

from dataclasses import dataclass, field

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from rtdenoise.train.augment import Augmentations, Strength, move_formants, played_in, time_shift
from rtdenoise.train.channel import (
    BANDS,
    PHONE_LOW_HZ,
    band_limit,
    clip_peaks,
    equalise,
    high_pass,
    low_pass,
    mu_law,
    transform_codec,
)
from rtdenoise.train.data import RATE_HZ, Corpus
from rtdenoise.train.draw import Draw, at_snr, rms
from rtdenoise.train.noises import artificial_noise, begun_or_ended, swell, tones
from rtdenoise.train.responses import responses
from rtdenoise.train.rooms import reverberate

BABBLE_TALKERS = (4, 8)
"""Fewest and most voices in babble: with fewer, one could be the talker one wants."""


@dataclass(frozen=True)
class MixConfig:
    """How speech and noise are put together.

    Attributes:
        clip_samples: length of a clip.
        snr_db: bounds between which the SNR is drawn, evenly.
        more_noise: probability of a second noise on top of the first, and, where there is
            one, of a third.
        babble: probability that the noise is the babble of other talkers.
        remix: of recorded pairs, probability that a clip has the noise of another (after
            A. Défossez et al., "Real time speech enhancement in the waveform domain",
            Interspeech 2020).
        gap: probability that a stretch of the speech is silenced: talkers pause.
        speech_only: probability of no recorded noise, so that clean speech passes.
        noise_only: probability of no speech at all, so that silence stays silent.
        dereverberate: whether the target of reverberant speech is the direct sound with
            its early reflections (up to 50 ms), or the speech with all its reverberation.
        augmentations: what else happens to the clips.
        rooms: simulated rooms to draw reverb from, of speech and of noise each.
        responses: folder of impulse-response files to use instead of simulated rooms.
    """

    clip_samples: int = 322 * 160
    snr_db: tuple[float, float] = (-8.0, 22.0)
    more_noise: float = 0.3
    babble: float = 0.08
    remix: float = 0.5
    gap: float = 0.3
    speech_only: float = 0.03
    noise_only: float = 0.05
    dereverberate: bool = True
    augmentations: Augmentations = field(default_factory=Augmentations)
    rooms: int = 200
    responses: str | None = None


class Mixer:
    """Draws batches of noisy clips and what they should become.

    Args:
        corpus: one split of the data, on the device where batches are wanted.
        config: how to mix.
        seed: batches with the same seed and number are the same.
    """

    def __init__(self, corpus: Corpus, config: MixConfig, seed: int) -> None:
        self._corpus = corpus
        self._config = config
        self._seed = seed
        self._device = corpus.speech.samples.device
        augment, source = config.augmentations, (config.responses, config.rooms)
        self._responses = responses(augment.reverb, *source, seed).to(self._device)
        self._noise_responses = responses(augment.noise_reverb, *source, seed + 1).to(self._device)

    def batch(self, number: int, clips: int) -> tuple[Tensor, Tensor]:
        """Return batch ``number``: noisy and target, float32 ``[clips, clip_samples]``."""
        draw = Draw(hash((self._seed, number)) % 2**62, self._device)
        config, augment = self._config, self._config.augmentations
        speech, noise = self._cut(clips, draw)
        self._shift(speech, noise, draw)
        heard, target = self._reverberate(speech, draw)
        if not self._corpus.paired:
            snr = draw.uniform(clips, *config.snr_db)
            noise = at_snr(noise, heard, snr)
        self._zero(noise, draw, config.speech_only)
        made = ((augment.artificial_noise, artificial_noise), (augment.tones, tones))
        for strength, make in made:
            k, snr = draw.strengths(clips, strength)
            if k.numel():
                noise[k] += at_snr(make(k.numel(), config.clip_samples, draw), heard[k], snr)
        noisy = heard + noise
        limits = (
            (augment.low_pass, low_pass),
            (augment.band_limit, band_limit),
            (augment.high_pass, high_pass),
        )
        for strength, limit in limits:
            k, edge = draw.strengths(clips, strength)
            if k.numel():
                noisy[k], target[k] = limit(noisy[k], edge), limit(target[k], edge)
        on_phone, cutoff = draw.strengths(clips, augment.phone)
        if on_phone.numel():
            for signal in (noisy, target):
                signal[on_phone] = high_pass(low_pass(signal[on_phone], cutoff), PHONE_LOW_HZ)
        k, level = draw.strengths(clips, augment.volume)
        if k.numel():
            scale = 10 ** (level[:, None] / 20) / (rms(noisy[k]) + 1e-8)
            noisy[k], target[k] = noisy[k] * scale, target[k] * scale
        k, excess = draw.strengths(clips, augment.clipping)
        if k.numel():
            noisy[k] = clip_peaks(noisy[k], excess)
        if on_phone.numel():
            noisy[on_phone] = mu_law(noisy[on_phone])
        k, snr = draw.strengths(clips, augment.codec)
        if k.numel():
            noisy[k] = transform_codec(noisy[k], snr)
        return noisy, target

    def _cut(self, clips: int, draw: Draw) -> tuple[Tensor, Tensor]:
        """Cut clips of speech and of noise out of the pools."""
        corpus, config, augment = self._corpus, self._config, self._config.augmentations
        length = self._longest(augment.speed)
        places = corpus.speech.places(clips, length, draw.generator)
        speech = corpus.speech.cut(*places, length)
        if corpus.paired:
            noisy = corpus.noise.cut(*places, length)
            speech, noisy = self._at_speed((speech, noisy), augment.speed, draw)
            noise = noisy - speech
            self._move_formants(speech, draw)
            self._colour(speech, draw)
            self._colour(noise, draw)
            k = draw.chosen(clips, config.remix)
            noise[k] = noise.roll(1, 0)[k]
            self._zero(speech, draw, config.noise_only)
            return speech, noise
        (speech,) = self._at_speed((speech,), augment.speed, draw)
        self._move_formants(speech, draw)
        self._colour(speech, draw)
        noise = self._noise(clips, draw)
        k = draw.chosen(clips, config.more_noise)
        for _ in range(2):
            if k.numel():
                more = self._noise(k.numel(), draw)
                noise[k] += at_snr(more, noise[k], draw.uniform(k.numel(), -5, 10))
            k = k[draw.chosen(k.numel(), config.more_noise)]
        k = draw.chosen(clips, config.babble)
        if k.numel():
            noise[k] = self._babble(k.numel(), draw)
        self._pause(speech, draw)
        self._zero(speech, draw, config.noise_only)
        return speech, noise

    def _noise(self, clips: int, draw: Draw) -> Tensor:
        # Half way between by length and by file: short sounds are many, long ones varied.
        augment = self._config.augmentations
        length = self._longest(augment.noise_speed)
        places = self._corpus.noise.places(clips, length, draw.generator, evenness=0.5)
        cut = self._corpus.noise.cut(*places, length)
        (noise,) = self._at_speed((cut,), augment.noise_speed, draw)
        self._colour(noise, draw)
        k = draw.chosen(clips, augment.noise_reverb.probability)
        if k.numel():
            noise[k], _ = reverberate(noise[k], self._drawn(self._noise_responses, k, draw))
        for strength, change in (
            (augment.noise_swell, swell),
            (augment.noise_onset, begun_or_ended),
        ):
            k, by = draw.strengths(clips, strength)
            if k.numel():
                noise[k] = change(noise[k], by, draw)
        return noise

    def _longest(self, speed: Strength) -> int:
        """Return how many samples to cut for a clip at any speed that may be drawn."""
        factor = max(1.0, speed.high) if speed.probability > 0 else 1.0
        return round(self._config.clip_samples * factor)

    def _at_speed(
        self, signals: tuple[Tensor, ...], speed: Strength, draw: Draw
    ) -> tuple[Tensor, ...]:
        """Return clips of the wanted length, some of them played at another speed."""
        length = self._config.clip_samples
        k, factor = draw.strengths(signals[0].shape[0], speed)
        played = tuple(signal[:, :length].clone() for signal in signals)
        for clip, by in zip(k.tolist(), factor.tolist(), strict=True):
            taken = next_fast_len(round(length * by), real=True)  # transforms fast, nearly as long
            for signal, out in zip(signals, played, strict=True):
                out[clip] = played_in(signal[clip, :taken], length)
        return played

    def _move_formants(self, speech: Tensor, draw: Draw) -> None:
        """Give some clips the voice of a larger or smaller head."""
        k, factor = draw.strengths(speech.shape[0], self._config.augmentations.formants)
        if k.numel():
            speech[k] = move_formants(speech[k], factor)

    def _colour(self, samples: Tensor, draw: Draw) -> None:
        """Send some clips through an equaliser."""
        k, depth_db = draw.strengths(samples.shape[0], self._config.augmentations.colour)
        if k.numel():
            bands = draw.uniform(k.numel() * BANDS, -1, 1).reshape(-1, BANDS)
            samples[k] = equalise(samples[k], bands * depth_db[:, None])

    def _babble(self, clips: int, draw: Draw) -> Tensor:
        """Return several talkers at once, some near, some far."""
        few, many = BABBLE_TALKERS
        length = self._config.clip_samples
        places = self._corpus.speech.places(clips * many, length, draw.generator)
        voices = self._corpus.speech.cut(*places, length).reshape(clips, many, length)
        talkers = draw.uniform(clips, few, many + 1).long()
        present = torch.arange(many, device=self._device) < talkers[:, None]
        loudness = 10 ** (draw.uniform(clips * many, -8, 0).reshape(clips, many) / 20)
        return (voices * (present * loudness)[..., None]).sum(1)

    @staticmethod
    def _zero(samples: Tensor, draw: Draw, probability: float) -> None:
        samples[draw.chosen(samples.shape[0], probability)] = 0.0

    def _pause(self, speech: Tensor, draw: Draw) -> None:
        """Silence a stretch of some clips, of a tenth up to nearly all."""
        k = draw.chosen(speech.shape[0], self._config.gap)
        length = speech.shape[1]
        begin = draw.uniform(k.numel(), -0.3, 0.9)[:, None] * length
        end = begin + draw.uniform(k.numel(), 0.1, 0.9)[:, None] * length
        place = torch.arange(length, device=speech.device)
        speech[k] *= (place < begin) | (place >= end)

    def _shift(self, speech: Tensor, noise: Tensor, draw: Draw) -> None:
        """Shift the speech against the noise, or both where they were recorded together."""
        k, shift_s = draw.strengths(speech.shape[0], self._config.augmentations.time_shift)
        if k.numel():
            shift = (shift_s * RATE_HZ).long()
            speech[k] = time_shift(speech[k], shift)
            if self._corpus.paired:
                noise[k] = time_shift(noise[k], shift)

    def _reverberate(self, speech: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return the speech at the microphone, and the target."""
        target = speech.clone()
        k = draw.chosen(speech.shape[0], self._config.augmentations.reverb.probability)
        if k.numel():
            heard, early = reverberate(speech[k], self._drawn(self._responses, k, draw))
            speech, target[k] = speech.clone(), early if self._config.dereverberate else heard
            speech[k] = heard
        return speech, target

    @staticmethod
    def _drawn(responses: Tensor, clips: Tensor, draw: Draw) -> Tensor:
        """Return an impulse response for each of some clips."""
        which = torch.randint(responses.shape[0], clips.shape, generator=draw.generator)
        return responses[which.to(responses.device)]
