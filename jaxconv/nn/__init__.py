"""Flax NNX modules: parameters plus one functional call."""

from jaxconv.nn import initializers
from jaxconv.nn.activation import ACTIVATIONS, activation
from jaxconv.nn.conv import Conv, ConvNorm
from jaxconv.nn.dense import Dense
from jaxconv.nn.drop_path import DropPath, rising_rates
from jaxconv.nn.dropout import Dropout, branch_key
from jaxconv.nn.gate import EfficientChannelAttention, SqueezeExcite
from jaxconv.nn.inception import Inception, InceptionWidths
from jaxconv.nn.norm import BatchNorm
from jaxconv.nn.pool import AvgPool, MaxPool
from jaxconv.nn.pure import Apply, functionalize, initialize
from jaxconv.nn.sequential import Sequential
from jaxconv.nn.still_norm import GroupNorm, LayerNorm

__all__ = [
    "ACTIVATIONS",
    "Apply",
    "AvgPool",
    "BatchNorm",
    "Conv",
    "ConvNorm",
    "Dense",
    "DropPath",
    "Dropout",
    "EfficientChannelAttention",
    "GroupNorm",
    "Inception",
    "InceptionWidths",
    "LayerNorm",
    "MaxPool",
    "Sequential",
    "SqueezeExcite",
    "activation",
    "branch_key",
    "functionalize",
    "initialize",
    "initializers",
    "rising_rates",
]
