"""The gradient of a function of a tensor, on the backend that Keras runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def gradient_of(score: Callable[[Any], Any], at: NDArray[np.float32]) -> NDArray[np.float32]:
    """The gradient of a scalar function, of the shape of the array.

    Args:
        score: tensor -> scalar tensor; keeps nothing.
        at: where.
    """
    if keras.backend.backend() == "torch":
        import torch

        point = keras.ops.convert_to_tensor(at).detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(score(point), point)
    elif keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(score)(keras.ops.convert_to_tensor(at))
    else:
        import tensorflow as tf

        point = keras.ops.convert_to_tensor(at)
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = score(point)
        gradient = tape.gradient(value, point)
    return np.asarray(keras.ops.convert_to_numpy(gradient), np.float32)
