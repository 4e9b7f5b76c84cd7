"""The runtimes that exported graphs run on, behind one interface: arrays in, the answer out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from modernbert.errors import NotAvailable
from modernbert.records.export import RuntimeName

# The graph's inputs by name, to the output that was asked for.
Session = Callable[[dict[str, np.ndarray]], np.ndarray]
# Of ONNX Runtime's messages, errors alone.
ERRORS_ALONE = 3
# OpenVINO's packages count their calls with a server of their maker unless this package is missing.
COUNTS_CALLS = "openvino_telemetry"


@dataclass(frozen=True)
class Runtime:
    """A program that runs graphs on a CPU.

    Attributes:
        title: as users know it.
        module: what is imported.
        extra: of mbert; installs it.
        start: gives a session, of the module, the graph, the name of the output and the number of threads.
    """

    title: str
    module: str
    extra: str
    start: Callable[[Any, Path, str, int], Session]

    def require(self) -> Any:
        """Return its module. Raises NotAvailable when it is not installed."""
        try:
            with no_counting():
                return importlib.import_module(self.module)
        except ImportError:
            raise NotAvailable(f"the export is run by {self.title}, which is not installed",
                               fix=f"pip install 'mbert[{self.extra}]'") from None  # fmt: skip

    def open(self, graph: Path, output: str, threads: int) -> Session:
        """Return a session for one output of a graph.

        Raises:
            NotAvailable: it is not installed.
            Exception: it cannot read the graph; each runtime has classes of its own.
        """
        return self.start(self.require(), graph, output, threads)


def _onnxruntime(runtime: Any, graph: Path, output: str, threads: int) -> Session:
    settings = runtime.SessionOptions()
    settings.log_severity_level = ERRORS_ALONE
    settings.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(graph), settings, providers=["CPUExecutionProvider"])
    return lambda inputs: np.asarray(session.run([output], inputs)[0])


def _openvino(runtime: Any, graph: Path, output: str, threads: int) -> Session:
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # else it computes in bf16 where the CPU can
        # A kernel is compiled for every shape. It would keep 5,000: hundreds of MB for a small encoder.
        "CPU_RUNTIME_CACHE_CAPACITY": "64",
    }
    compiled = runtime.Core().compile_model(str(graph), "CPU", settings)
    wanted = compiled.output(output)
    return lambda inputs: np.asarray(compiled(inputs)[wanted])


RUNTIMES: Final[Mapping[RuntimeName, Runtime]] = {
    "onnxruntime": Runtime("ONNX Runtime", "onnxruntime", "onnx", _onnxruntime),
    "openvino": Runtime("OpenVINO", "openvino", "openvino", _openvino),
}


@contextmanager
def no_counting() -> Iterator[None]:
    """Import within this so that packages of OpenVINO report nothing to anybody."""
    hidden = COUNTS_CALLS not in sys.modules
    if hidden:
        sys.modules[COUNTS_CALLS] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[COUNTS_CALLS]
