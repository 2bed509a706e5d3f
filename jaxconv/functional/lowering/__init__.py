"""How a convolution or a pool is written for a platform; chosen when a program is lowered."""

from jaxconv.functional.lowering.pooling import max_pool, sum_pool
from jaxconv.functional.lowering.trilinear import conv, conv_input_grad

__all__ = ["conv", "conv_input_grad", "max_pool", "sum_pool"]
