"""The chain over all event stripes: what makes two streams of events equal or not."""

from __future__ import annotations

CHAIN_ODD = 0x9E3779B97F4A7C15
CHAIN_SEED = tuple(range(1, 9))
_MASK = 2**64 - 1
_LOW = 2**32 - 1


def mixed(lanes: tuple[int, ...], words: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chain after one more stripe of eight words.

    Each lane is rotated left by 29, then gets its neighbour's word and the product of the two
    halves of its own word (made odd-looking by a constant): cheap in wide registers, and every
    bit of every stripe and its place count.
    """
    a, b, c, d, e, f, g, h = lanes
    p, q, r, s, t, u, v, w = words
    odd, low, mask = CHAIN_ODD, _LOW, _MASK
    p_, q_, r_, s_, t_, u_, v_, w_ = (
        p ^ odd,
        q ^ odd,
        r ^ odd,
        s ^ odd,
        t ^ odd,
        u ^ odd,
        v ^ odd,
        w ^ odd,
    )
    return (
        ((a << 29 | a >> 35) + q + (p_ & low) * (p_ >> 32)) & mask,
        ((b << 29 | b >> 35) + p + (q_ & low) * (q_ >> 32)) & mask,
        ((c << 29 | c >> 35) + s + (r_ & low) * (r_ >> 32)) & mask,
        ((d << 29 | d >> 35) + r + (s_ & low) * (s_ >> 32)) & mask,
        ((e << 29 | e >> 35) + u + (t_ & low) * (t_ >> 32)) & mask,
        ((f << 29 | f >> 35) + t + (u_ & low) * (u_ >> 32)) & mask,
        ((g << 29 | g >> 35) + w + (v_ & low) * (v_ >> 32)) & mask,
        ((h << 29 | h >> 35) + v + (w_ & low) * (w_ >> 32)) & mask,
    )
