"""Weights of matrix products in the order in which the kernels read them: kernels/multiply.h.

Requires: symmetric int8 weights, channels first, so that a channel may be filled up with zeros.
Ensures: each channel's weights are whole words, each two channels of a group lie word by word in turns; the products
    are unchanged, since what was filled up is zero.
"""

import numpy as np

from tinypareto.mcu.graph import Int8Array

WORD = 4  # bytes that a kernel loads at once


def packed_depth(values: int) -> int:
    """Return the bytes of one channel's weights, whole words.

    Example:
        >>> packed_depth(27)
        28
    """
    return -(-values // WORD) * WORD


def pack_pairs(weight: Int8Array, groups: int = 1) -> Int8Array:
    """Return the weights flat, each channel's filled up with zeros, each two channels word by word in turns.

    A last odd channel of a group stands alone.

    Args:
        weight: Channels x anything.
        groups: Runs of channels between which no pairs are made.

    Example:
        >>> pack_pairs(np.arange(15, dtype=np.int8).reshape(3, 5)).reshape(-1, 4).tolist()
        [[0, 1, 2, 3], [5, 6, 7, 8], [4, 0, 0, 0], [9, 0, 0, 0], [10, 11, 12, 13], [14, 0, 0, 0]]
    """
    flat = weight.reshape(len(weight), -1)
    depth = packed_depth(flat.shape[1])
    padded = np.zeros((len(flat), depth), np.int8)
    padded[:, : flat.shape[1]] = flat
    words = padded.reshape(groups, len(weight) // groups, depth // WORD, WORD)
    even = words.shape[1] // 2 * 2
    pairs = words[:, :even].reshape(groups, even // 2, 2, depth // WORD, WORD).swapaxes(2, 3)
    return np.concatenate([pairs.reshape(groups, -1), words[:, even:].reshape(groups, -1)], axis=1).ravel()
