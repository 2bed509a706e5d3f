"""Flax NNX modules: parameters plus one functional call."""

from jaxconv.nn import initializers
from jaxconv.nn.conv import Conv, ConvNorm
from jaxconv.nn.dense import Dense
from jaxconv.nn.dropout import Dropout, branch_key
from jaxconv.nn.inception import Inception, InceptionWidths
from jaxconv.nn.norm import BatchNorm
from jaxconv.nn.pool import AvgPool, MaxPool
from jaxconv.nn.pure import Apply, functionalize, initialize
from jaxconv.nn.sequential import Sequential

__all__ = [
    "Apply",
    "AvgPool",
    "BatchNorm",
    "Conv",
    "ConvNorm",
    "Dense",
    "Dropout",
    "Inception",
    "InceptionWidths",
    "MaxPool",
    "Sequential",
    "branch_key",
    "functionalize",
    "initialize",
    "initializers",
]
