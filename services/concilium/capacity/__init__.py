"""What a model needs and costs, computed from its configuration alone: nothing is loaded, nothing is measured."""

from concilium.capacity.figures import HOURS_A_MONTH, Estimate, archive_bytes, estimate, month_cost
from concilium.capacity.fit import ALLOWANCE, Fit, fit, lora_bytes, shape_of, weight_bytes
from concilium.capacity.shape import QWEN3_30B_A3B, ModelShape, read_shape

__all__ = [
    "ALLOWANCE",
    "HOURS_A_MONTH",
    "QWEN3_30B_A3B",
    "Estimate",
    "Fit",
    "ModelShape",
    "archive_bytes",
    "estimate",
    "fit",
    "lora_bytes",
    "month_cost",
    "read_shape",
    "shape_of",
    "weight_bytes",
]
