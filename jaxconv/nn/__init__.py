"""Flax NNX modules: parameters plus one functional call."""

from jaxconv.nn import initializers
from jaxconv.nn.activation import ACTIVATIONS, Activate, activation
from jaxconv.nn.attention_pool import AttentionPool
from jaxconv.nn.bilinear_attention import BilinearAttention
from jaxconv.nn.conv import Conv, ConvNorm
from jaxconv.nn.conv_unit import ConvUnit, shortcut_average
from jaxconv.nn.dense import Dense
from jaxconv.nn.dropout import Dropout, DropPath, branch_key, rising_rates
from jaxconv.nn.gate import EfficientChannelAttention, SqueezeExcite
from jaxconv.nn.global_context import GlobalContext
from jaxconv.nn.inception import Inception, InceptionWidths
from jaxconv.nn.norm import BatchNorm
from jaxconv.nn.pool import AvgPool, MaxPool
from jaxconv.nn.pure import Apply, functionalize, initialize
from jaxconv.nn.sequential import Sequential
from jaxconv.nn.still_norm import GroupNorm, LayerNorm

__all__ = [
    "ACTIVATIONS",
    "Activate",
    "Apply",
    "AttentionPool",
    "AvgPool",
    "BatchNorm",
    "BilinearAttention",
    "Conv",
    "ConvNorm",
    "ConvUnit",
    "Dense",
    "DropPath",
    "Dropout",
    "EfficientChannelAttention",
    "GlobalContext",
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
    "shortcut_average",
]
