"""The formats of an export: which files, what makes them of torch's graph, and how weights are rounded."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from modernbert.activity import phase
from modernbert.errors import NotAvailable
from modernbert.model.runtimes import RUNTIMES, no_counting
from modernbert.records.export import RuntimeName

FormatName = Literal["onnx", "openvino"]
Precision = Literal["fp32", "int8"]
# ONNX Runtime's quantiser asks for what torch's exporter has done: shapes are inferred, constants folded.
ITS_ADVICE = "Please consider to run pre-processing"


@dataclass(frozen=True)
class Format:
    """What a graph is written as.

    Attributes:
        name: of the option, of the folder, and of the extra that installs what it needs.
        runtime: what runs it.
        graphs: where other programs look for the graph: transformers.js, sentence-transformers,
            text-embeddings-inference.
        packages, for_int8: what writing needs beside what mbert has.
        convert: makes it of torch's graph, which it removes.
        round: writes a graph with weights in 8 bits, from the one in fp32.
    """

    name: FormatName
    runtime: RuntimeName
    graphs: Mapping[Precision, Path]
    packages: tuple[str, ...]
    for_int8: tuple[str, ...]
    convert: Callable[[Path, Path], None]
    round: Callable[[Path, Path], None]

    def require(self, precision: Precision) -> None:
        """Raise NotAvailable when a package is not installed."""
        for name in self.needs(precision):
            try:
                with no_counting():
                    importlib.import_module(name)
            except ImportError:
                raise NotAvailable(f"exporting needs the package '{name}'",
                                   fix=f"pip install 'mbert[{self.name}]'") from None  # fmt: skip

    def needs(self, precision: Precision) -> tuple[str, ...]:
        """Return the packages for a precision."""
        return (*self.packages, *self.for_int8 * (precision == "int8"))


# Where torch's graph is written.
WRITTEN: Final = Path("onnx/model.onnx")


def _keep(written: Path, graph: Path) -> None:
    """Torch's graph is the format's."""
    assert written == graph


@phase("converting the graph")
def _to_openvino(written: Path, graph: Path) -> None:
    openvino = RUNTIMES["openvino"].require()
    graph.parent.mkdir()
    # Read by the runtime itself: openvino.convert_model would report to a server of its maker.
    openvino.save_model(openvino.Core().read_model(str(written)), str(graph), compress_to_fp16=False)
    shutil.rmtree(written.parent)


@phase("rounding the weights to 8 bits")
def _round_onnx(graph: Path, output: Path) -> None:
    """Write a graph with int8 weights: ONNX Runtime's dynamic quantisation.

    Weights have a scale for each output of a layer. Activations are rounded in every call, with one scale for
    the whole batch: a text's answer depends a little on which texts it is read with.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger = logging.getLogger()
    logger.addFilter(_is_no_advice)
    try:
        quantize_dynamic(graph, output, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logger.removeFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return ITS_ADVICE not in record.getMessage()


@phase("rounding the weights to 8 bits")
def _round_openvino(graph: Path, output: Path) -> None:
    """Write a graph with int8 weights: NNCF's compression, which needs no rows.

    Weights have a scale for each output of a layer. OpenVINO rounds the activations of linear layers in every
    call, with a scale for each group of a token's values.
    """
    openvino = RUNTIMES["openvino"].require()
    with _quiet_nncf() as nncf:
        model = nncf.compress_weights(
            openvino.Core().read_model(str(graph)), mode=nncf.CompressWeightsMode.INT8_SYM
        )
    openvino.save_model(model, str(output), compress_to_fp16=False)


@contextlib.contextmanager
def _quiet_nncf() -> Iterator[Any]:
    """Import NNCF; keep its tables and progress off the screen, where `--json` may be."""
    with contextlib.redirect_stdout(io.StringIO()), no_counting():
        nncf = importlib.import_module("nncf")
        nncf.set_log_level(logging.ERROR)
        yield nncf


FORMATS: Final[Mapping[FormatName, Format]] = {
    "onnx": Format(
        "onnx",
        "onnxruntime",
        {"fp32": WRITTEN, "int8": WRITTEN.with_name("model_quantized.onnx")},
        ("onnx", "onnxscript", "onnxruntime"),
        (),
        _keep,
        _round_onnx,
    ),
    "openvino": Format(
        "openvino",
        "openvino",
        {
            "fp32": Path("openvino/openvino_model.xml"),
            "int8": Path("openvino/openvino_model_qint8_quantized.xml"),
        },
        ("onnx", "onnxscript", "openvino"),
        ("nncf",),
        _to_openvino,
        _round_openvino,
    ),
}
