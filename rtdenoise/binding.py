"""Steps of an ONNX graph at one shape: bound once, they neither allocate nor look up names."""

from typing import Any

import numpy as np
import onnxruntime

from rtdenoise.onnx_graph import Graph, GraphState, Memory
from rtdenoise.stft import FloatArray

AGREEMENT = 0.02
"""What gains of a fast step may differ by: nobody hears it, and float16 stays below."""

PROBE_STEPS = 4
"""Steps that a fast session is compared for: a CUDA graph is recorded in the first of each
of the two directions, and replayed after."""


class Step:
    """One step of a graph at one shape: inputs in, outputs out, state turned.

    On a GPU it is tried with what is fast for fixed shapes, compared with the plain session,
    and done without where it fails or differs.

    Args:
        graph: to step.
        frames: of each step.
        inputs: shapes by name, without the axis of streams.
        outputs: shapes by name, likewise.
        state: what it reads and writes.
        session: on the CPU, runs it in place of the graph's own.

    Attributes:
        inputs: to be filled, in the host's memory, before :meth:`run`.
        outputs: what it gives, likewise, overwritten by the next.
    """

    def __init__(
        self,
        graph: Graph,
        frames: int,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        state: GraphState,
        session: Any = None,
    ) -> None:
        self._state, streams = state, state.streams
        place = graph.place
        self._inputs = {name: Memory(place, (streams, *s)) for name, s in inputs.items()}
        self._outputs = {name: Memory(place, (streams, *s)) for name, s in outputs.items()}
        self.inputs = {name: memory.host for name, memory in self._inputs.items()}
        self.outputs = {name: memory.host for name, memory in self._outputs.items()}
        self._is_host = place.is_host
        self._bind(session or graph.session, captures=False)
        if not place.is_host:
            self._try_fast(graph, frames)

    def run(self) -> dict[str, FloatArray]:
        """Take a step and return the outputs, which are overwritten by the next."""
        if not self._is_host:
            for memory in self._inputs.values():
                memory.send()
        # Of two bindings, the one that reads what was written last.
        binding, options = self._bindings[id(self._state.now)]
        self._session.run_with_iobinding(binding, options)
        self._state.turn()
        if not self._is_host:
            for memory in self._outputs.values():
                memory.fetch()
        return self.outputs

    def _bind(self, session: Any, captures: bool) -> None:
        self._session, self._bindings = session, {}
        for number in (1, 2):  # one for each direction
            binding = session.io_binding()
            for name, memory in self._inputs.items():
                binding.bind_ortvalue_input(name, memory.value)
            for name, memory in self._outputs.items():
                binding.bind_ortvalue_output(name, memory.value)
            self._state.bind(binding)
            options = None
            if captures:  # a recording each: they hold addresses
                options = onnxruntime.RunOptions()
                options.add_run_config_entry("gpu_graph_id", str(number))
            self._bindings[id(self._state.now)] = (binding, options)
            self._state.turn()

    def _try_fast(self, graph: Graph, frames: int) -> None:
        """Change over to the fast session if it computes what the plain one does."""
        plain, fast = self._session, graph.fast_session(self._state.streams, frames)
        if fast is None:
            return
        kept = {name: memory.fetch().copy() for name, memory in self._state.now.items()}
        wanted = self._probe()
        try:
            self._bind(fast, captures=graph.place.kind == "cuda")
            pairs = zip(wanted, self._probe(), strict=True)
            apart = [np.abs(a[name] - b[name]).max() for a, b in pairs for name in a]
            error = float(np.max(apart))  # NaN if any of them is
            problem = "" if error <= AGREEMENT else f"its gains differ by {error:.2g}"
        except Exception as failure:  # as many classes as there are ways to fail
            problem = str(failure).splitlines()[0]
        if problem:
            graph.refuse_fast(problem)
            self._bind(plain, captures=False)
        self._state.restore(kept)

    def _probe(self) -> list[dict[str, FloatArray]]:
        """Return what comes out for some noise of a talker's level, from the start."""
        self._state.reset()
        found = []
        rng = np.random.default_rng(1)
        for _ in range(PROBE_STEPS):
            for array in self.inputs.values():
                array[...] = np.abs(rng.normal(0, 1e-3, array.shape))
            found.append({name: array.copy() for name, array in self.run().items()})
        return found
