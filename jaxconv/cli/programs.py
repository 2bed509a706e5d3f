"""Compiled programs, kept from one run of the command to the next."""

import os
from pathlib import Path

import jax


def keep_programs() -> None:
    """Turns on JAX's persistent compilation cache for every program, however quickly it compiled.

    JAX_COMPILATION_CACHE_DIR names another folder than the one below XDG_CACHE_HOME; JAXCONV_KEEP_PROGRAMS=0 turns the
    cache off. What is set in JAX's own configuration already stays.
    """
    if os.environ.get("JAXCONV_KEEP_PROGRAMS", "1") == "0" or jax.config.jax_compilation_cache_dir:
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jax.config.update("jax_compilation_cache_dir", str(caches / "jaxconv" / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
