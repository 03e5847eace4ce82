"""ONNX graphs on a device, and their state there.

A graph reads its state from one set of arrays and writes it to another; then the two change
places. So state need never leave the device.
"""

import functools
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from rtdenoise.gpu import Place, open_session
from rtdenoise.model import ModelError, State
from rtdenoise.stft import FloatArray

STATE, NEXT = "state.", "next."
STREAMS, FRAMES = "streams", "frames"
"""Names of the axes whose sizes are free."""

ROWS = re.compile(rf"(?:(\d+)\*)?{STREAMS}")
"""Name of an axis that has so many rows for each stream, one where no number is told."""

_log = logging.getLogger("rtdenoise")


class Memory:
    """A float32 array of a device, which begins as zeros, and its image in the host's memory.

    Args:
        place: the device.
        shape: of the image, streams first.
        taken: shape in which ONNX Runtime takes the same numbers, where it is another.

    Attributes:
        value: the array as ONNX Runtime takes it.
        host: its image; on the CPU, the array itself.
    """

    def __init__(
        self, place: Place, shape: tuple[int, ...], taken: tuple[int, ...] | None = None
    ) -> None:
        self._place = place
        self.host = np.zeros(shape, np.float32)
        self._image = self.host.reshape(taken or shape)  # shares memory, as the value does
        if place.is_host:
            self.value = onnxruntime.OrtValue.ortvalue_from_numpy(self._image)
        else:
            self.value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                self._image.shape, np.float32, place.memory, place.index
            )
            self.send()

    def send(self) -> None:
        """Let the device have what is in the image."""
        if not self._place.is_host:
            self.value.update_inplace(self._image)

    def fetch(self) -> FloatArray:
        """Return the image, made like the array. It changes with the next step."""
        if not self._place.is_host:
            self._image[...] = self.value.numpy()
        return self.host

    def zero(self, first: int, count: int) -> None:
        """Set rows of the first axis to 0. The image, where there is one, is not touched."""
        self._place.zero(self._address(first), count * self._row_bytes)

    def copy_row(self, source: "Memory", row: int) -> None:
        """Make the first row what a row of another array is."""
        self._place.copy(self._address(0), source._address(row), self._row_bytes)

    @property
    def _row_bytes(self) -> int:
        return self.host.nbytes // self.host.shape[0]

    def _address(self, row: int) -> int:
        return int(self.value.data_ptr()) + row * self._row_bytes


class Graph:
    """An ONNX graph on a device.

    Args:
        path: of ``model.onnx``.
        place: the device.
        threads: that share a single operation on the CPU.
        content: a graph with the same inputs and outputs, to run in place of the file's.

    Attributes:
        path: of the file.
        place: the device.
        inputs: shapes without the axis of streams, by name; strings are free sizes.
        state_shapes: the same of the state, whose axis of streams need not be the first, and
            may have several rows for each: ``[1, "21*streams", 64]`` becomes ``(21, 64)``.
        session: runs any shapes.

    Raises:
        ModelError: it cannot be loaded.
    """

    def __init__(
        self, path: Path, place: Place, threads: int = 1, content: bytes | None = None
    ) -> None:
        self.place, self.path, self._content = place, path, content
        self.session = open_session(path, place.providers(), threads=threads, content=content)
        shapes = {i.name: tuple(i.shape) for i in self.session.get_inputs()}
        self.inputs = {k: shape[1:] for k, shape in shapes.items() if not k.startswith(STATE)}
        self._taken = {
            k.removeprefix(STATE): shape for k, shape in shapes.items() if k.startswith(STATE)
        }
        if scalars := [name for name, shape in self._taken.items() if not shape]:
            raise ModelError(f"{path}: its state {scalars[0]} has no axis of streams")
        self.state_shapes = {name: _of_one(shape) for name, shape in self._taken.items()}
        self._told: set[str] = set()
        self._is_fast = not place.is_host

    @functools.cached_property
    def single(self) -> Any:
        """A session for one frame of one stream on the CPU, opened when it is first asked for.

        With its sizes fixed, nothing in the graph works them out: of the small nodes of a hop
        there are a dozen less.
        """
        fixed = self._fixed(1, 1)
        return open_session(
            self.path,
            self.place.providers(),
            fixed=fixed,
            content=self._content,
            is_small=True,
        )

    def memory(self, state: str, streams: int) -> Memory:
        """Return an array for one piece of state of some streams."""
        taken = tuple(_size(size, streams) for size in self._taken[state])
        return Memory(self.place, (streams, *self.state_shapes[state]), taken)

    def run(
        self, feeds: dict[str, FloatArray], output: str, state: "GraphState | None" = None
    ) -> FloatArray:
        """Run once, with inputs of any shapes from the host's memory, and return an output.

        Args:
            feeds: inputs by name, and the state where it is not given otherwise.
            output: name of what to return.
            state: read and turned; it does not leave the device. None for a single output.
        """
        binding = self.session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(output)
        if state is not None:
            state.bind(binding)
        self.session.run_with_iobinding(binding)
        if state is not None:
            state.turn()
        found: FloatArray = binding.get_outputs()[0].numpy()
        return found

    def fast_session(self, streams: int, frames: int) -> Any:
        """Return a session for one size on a GPU, or None where it cannot be had."""
        if not self._is_fast:
            return None
        if self.place.kind == "tensorrt":
            self._tell(
                "TensorRT builds an engine for each number of streams; a new one takes minutes"
            )
        fixed = self._fixed(streams, frames)
        try:
            return open_session(
                self.path, self.place.fast_providers(), fixed=fixed, content=self._content
            )
        except ModelError as error:
            self.refuse_fast(str(error))
            return None

    def _fixed(self, streams: int, frames: int) -> dict[str, int]:
        """Return the sizes of all axes that follow from these two, by name."""
        sizes = {size for shape in self._taken.values() for size in shape}
        rows = {k: _size(k, streams) for k in sizes if isinstance(k, str) and ROWS.fullmatch(k)}
        return {STREAMS: streams, FRAMES: frames} | rows

    def refuse_fast(self, problem: str) -> None:
        """Do without fast sessions from now on, and say so."""
        self._is_fast = False
        faster = "a CUDA graph" if self.place.kind == "cuda" else "TensorRT"
        self._tell(f"{self.path.parent.name} runs without {faster}: {problem}")

    def _tell(self, text: str) -> None:
        """Say something once."""
        if text not in self._told:
            self._told.add(text)
            _log.warning("rtdenoise: %s", text)


class GraphState(State):
    """State of a graph: two sets of arrays on its device, one to read and one to write.

    Args:
        graph: whose state it is.
        streams: how many.
        is_empty: whether it is nothing at all, for a graph whose state comes as an input.
    """

    def __init__(self, graph: Graph, streams: int, *, is_empty: bool = False) -> None:
        super().__init__({})
        own = [] if is_empty else list(graph.state_shapes)
        self.streams = streams
        self.now = {name: graph.memory(name, streams) for name in own}
        self.after = {name: graph.memory(name, streams) for name in own}
        # Where the device's memory is the host's, the arrays can be seen and changed.
        sets = (self.now, self.after) if graph.place.is_host else ({}, {})
        self._seen = [{name: memory.host for name, memory in one.items()} for one in sets]
        self.arrays = self._seen[0]

    def bind(self, binding: Any) -> None:
        """Let a run read the one set of arrays and write the other."""
        for name, memory in self.now.items():
            binding.bind_ortvalue_input(STATE + name, memory.value)
            binding.bind_ortvalue_output(NEXT + name, self.after[name].value)

    def turn(self) -> None:
        """Let what was written be read next."""
        self.now, self.after = self.after, self.now
        self._seen.reverse()
        self.arrays = self._seen[0]

    def reset(self) -> None:
        """Forget everything."""
        for memory in self.now.values():
            memory.zero(0, self.streams)

    def reset_rows(self, rows: Iterable[int]) -> None:
        """Forget some streams: they begin anew, the others go on."""
        for row in rows:
            for memory in self.now.values():
                memory.zero(row, 1)

    def copy_row(self, source: State, row: int) -> None:
        """Make the first stream what one of another state of the same model is."""
        assert isinstance(source, GraphState), "the state of another model"
        for name, memory in self.now.items():
            memory.copy_row(source.now[name], row)

    def restore(self, arrays: dict[str, FloatArray]) -> None:
        """Set what is read next."""
        for name, memory in self.now.items():
            memory.host[...] = arrays[name]
            memory.send()


def _of_one(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """Return the shape of one stream's share of an array."""
    axes = (k for k, size in enumerate(shape) if isinstance(size, str) and ROWS.fullmatch(size))
    axis = next(axes, 0)  # graphs by others may name it otherwise
    rest = tuple(_size(size, 1) for size in shape[axis:])
    return rest if rest[0] > 1 and isinstance(shape[axis], str) else rest[1:]


def _size(size: int | str, streams: int) -> int:
    """Return what a size is for so many streams."""
    if isinstance(size, int):
        return size
    rows = ROWS.fullmatch(size)
    return int(rows[1] or 1) * streams if rows else streams
