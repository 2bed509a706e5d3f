"""Whole networks are most of the suite's time, and compiling them most of theirs."""

import functools

import jax

fast_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit`, with LLVM told to compile fast: two thirds of the time. No answer should depend on it."""
