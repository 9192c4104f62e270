"""Branches and loops over tensors as functions, which Python runs.

A compiled function that asks for the value of a condition runs eagerly.
"""

from rushlight._higher_order_ops.control_flow import cond as cond, while_loop as while_loop
