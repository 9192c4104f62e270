"""Under its name in PyTorch."""

from rushlight._higher_order_ops.control_flow import cond as cond
