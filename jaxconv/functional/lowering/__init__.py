"""How a convolution or a pool is written for a platform; chosen when a program is lowered."""

from jaxconv.functional.lowering.plain import conv, conv_input_grad, max_pool, sum_pool

__all__ = ["conv", "conv_input_grad", "max_pool", "sum_pool"]
