"""Weights in 8 bits: ONNX Runtime's dynamic quantisation.

Weights are rounded once, with a scale for each output of a layer. Activations are rounded in every call, with
one scale for the whole batch: a text's answer depends a little on which texts it is read with.
"""

from __future__ import annotations

import logging
from pathlib import Path

from modernbert.activity import phase

# The quantiser asks for a step that torch's exporter has done: shapes are inferred, constants folded.
ITS_ADVICE = "Please consider to run pre-processing"


@phase("rounding the weights to 8 bits")
def quantise(graph: Path, output: Path) -> None:
    """Write a graph with int8 weights."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger = logging.getLogger()
    logger.addFilter(_is_no_advice)
    try:
        quantize_dynamic(graph, output, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logger.removeFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return ITS_ADVICE not in record.getMessage()
