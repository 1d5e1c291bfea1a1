"""People, animals and hands made of ellipsoids and tapered limbs, each standing at the current place of a builder."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple
from depth_anything_v2.datasets.scenes.clutter import stand
from depth_anything_v2.datasets.scenes.shapes import Vector, look_at


def skin_of(b: Builder) -> int:
    """Add the material of skin, from pale to dark."""
    dark = b.uniform(0, 1)
    tint = (0.75 - 0.62 * dark, 0.5 - 0.44 * dark, 0.38 - 0.34 * dark)
    return b.material(0.3, plain=1, tint=tint, mottle=0.1, bump=b.uniform(0, 0.2), gloss=b.uniform(0, 0.2), shine=12.0)


def _cloth(b: Builder, size: float = 0.4) -> int:
    return b.material(size, plain=0.45, gloss=0.0, bump=b.uniform(0, 0.6), photo=b.chance(0.08))


def _step(start: Vector, length: float, pitch: float, side: float) -> Vector:
    """Return the end of a limb: `pitch` is 0 straight down and positive to the front (-y), `side` outward in x."""
    return start + length * np.array([np.sin(side), -np.sin(pitch) * np.cos(side), -np.cos(pitch) * np.cos(side)])


def _pair(a: Vector) -> Triple:
    return (float(a[0]), float(a[1]), float(a[2]))


def person(b: Builder, r: float) -> None:
    """A figure that stands, walks, sits or gestures and looks to -y, up to 1.95 m high."""
    tall = b.uniform(1.5, 1.95) if b.chance(0.8) else b.uniform(0.8, 1.4)
    skin, shirt, trousers = skin_of(b), _cloth(b), _cloth(b)
    hair = b.material(0.2, plain=1, tint=(b.uniform(0.01, 0.45),) * 3, bump=0.8, mottle=0.5)
    shoes = b.material(0.2, plain=0.9)
    sits, stride, wide = b.chance(0.2), b.uniform(0, 0.45), b.uniform(0.85, 1.25)
    hip = tall * (0.3 if sits else 0.5)
    lean = b.rng.normal(0, 0.08)
    chest = np.array([0, -lean * 0.25 * tall, hip + 0.2 * tall])
    b.ball((0, 0, hip), (0.1 * tall * wide, 0.075 * tall * wide, 0.075 * tall), trousers)
    b.ball(_pair((chest + np.array([0, 0, hip])) / 2), (0.095 * tall * wide, 0.065 * tall * wide, 0.13 * tall), shirt)
    b.ball(_pair(chest), (0.115 * tall * wide, 0.072 * tall * wide, 0.12 * tall), shirt)
    for side in (-1, 1):
        swing = stride * side
        thigh = 1.45 if sits else swing
        knee = _step(np.array([side * 0.055 * tall, 0, hip]), 0.245 * tall, thigh, 0.03 * side)
        ankle = _step(knee, 0.235 * tall, 0.05 if sits else swing - abs(stride) * b.uniform(0, 0.9), 0)
        b.limb((side * 0.055 * tall, 0, hip), _pair(knee), 0.05 * tall * wide, 0.035 * tall, trousers)
        b.limb(_pair(knee), _pair(ankle), 0.034 * tall, 0.022 * tall, trousers)
        b.ball(_pair(ankle + np.array([0, -0.03 * tall, -0.01])), (0.026 * tall, 0.075 * tall, 0.024 * tall), shoes)
        shoulder = chest + np.array([side * 0.115 * tall * wide, 0, 0.075 * tall])
        lift = b.uniform(0.2, 2.6) if b.chance(0.3) else -swing * 0.8
        elbow = _step(shoulder, 0.17 * tall, lift, side * b.uniform(0.05, 0.5))
        wrist = _step(elbow, 0.15 * tall, lift + b.uniform(0.1, 1.6), side * b.uniform(-0.4, 0.2))
        b.limb(_pair(shoulder), _pair(elbow), 0.034 * tall, 0.025 * tall, shirt)
        b.limb(_pair(elbow), _pair(wrist), 0.024 * tall, 0.016 * tall, skin if b.chance(0.4) else shirt)
        b.ball(_pair(wrist + 0.25 * (wrist - elbow)), (0.022 * tall, 0.03 * tall, 0.045 * tall), skin)
    head(b, chest + np.array([0, -lean * 0.1 * tall, 0.225 * tall]), tall * 0.064, skin, hair)
    b.limb(
        _pair(chest + np.array([0, 0, 0.09 * tall])),
        _pair(chest + np.array([0, 0, 0.19 * tall])),
        0.033 * tall,
        0.03 * tall,
        skin,
    )


def head(b: Builder, centre: Vector, size: float, skin: int, hair: int) -> None:
    """A head of radius `size` about `centre` that looks to -y, with eyes, nose, ears, and hair or a hat."""
    dark = b.material(0.05, plain=1, tint=(0.03, 0.02, 0.02), gloss=0.5)
    x, y, z = centre
    b.ball((x, y, z), (size * 0.82, size, size * 1.2), skin)
    b.ball((x, y + 0.12 * size, z + 0.28 * size), (size * 0.92, size * 1.02, size * 1.02), hair)
    b.ball((x, y - size * 1.02, z - 0.1 * size), (size * 0.14, size * 0.2, size * 0.25), skin)
    b.ball((x, y - size * 0.86, z - 0.55 * size), (size * 0.28, size * 0.12, size * 0.07), dark)
    for side in (-1, 1):
        b.ball((x + side * 0.34 * size, y - size * 0.86, z + 0.08 * size), (size * 0.13, size * 0.08, size * 0.1), dark)
        b.ball((x + side * 0.84 * size, y, z - 0.05 * size), (size * 0.1, size * 0.2, size * 0.3), skin)
    if b.chance(0.2):
        b.post((x, y, z + 0.45 * size), size * 1.5, size * 0.08, b.material(0.2, plain=0.6))
        b.post((x, y, z + 0.5 * size), size * 0.95, size * 0.7, b.material(0.2, plain=0.6), taper=0.9)


def animal(b: Builder, size: float) -> None:
    """A four-legged animal or a bird, about half a metre times `size` high, that looks to -y."""
    if b.chance(0.15):
        _bird(b, size * 0.5)
        return
    tint = (b.uniform(0.03, 0.6),) * 3 if b.chance(0.5) else (0.5, 0.3, 0.13)
    fur = b.material(0.5, plain=0.5, tint=tint, mottle=0.6, bump=1.0, gloss=0.0, contrast=b.uniform(0, 0.6))
    long, legs, thick = size * b.uniform(0.35, 0.75), size * b.uniform(0.2, 0.6), size * b.uniform(0.1, 0.2)
    back = legs + thick * 0.8
    b.ball((0, 0, back), (thick, long * 0.6, thick * 1.1), fur)
    b.ball((0, -long * 0.35, back + thick * 0.1), (thick * 1.05, long * 0.3, thick * 1.15), fur)
    b.ball((0, long * 0.38, back), (thick * 1.02, long * 0.28, thick * 1.1), fur)
    neck = np.array([0, -long * 0.55, back + thick * 0.4])
    skull = neck + np.array([b.rng.normal(0, 0.1) * size, -size * b.uniform(0.1, 0.3), size * b.uniform(-0.05, 0.35)])
    b.limb(_pair(neck), _pair(skull), thick * 0.75, thick * 0.5, fur)
    r = thick * b.uniform(0.65, 0.9)
    dark = b.material(0.05, plain=1, tint=(0.02, 0.02, 0.02), gloss=0.6)
    b.ball(_pair(skull), (r * 0.85, r * 1.1, r * 0.9), fur)
    muzzle = skull + np.array([0, -r * b.uniform(0.9, 1.5), -r * 0.3])
    b.limb(_pair(skull), _pair(muzzle), r * 0.6, r * 0.35, fur)
    b.ball(_pair(muzzle + np.array([0, -r * 0.3, 0.08 * r])), (r * 0.15, r * 0.1, r * 0.1), dark)
    for side in (-1, 1):
        b.ball(_pair(skull + np.array([side * 0.5 * r, -0.75 * r, 0.3 * r])), (r * 0.14, r * 0.1, r * 0.14), dark)
        ear = skull + np.array([side * 0.5 * r, 0.2 * r, 0.6 * r])
        b.limb(_pair(ear), _pair(ear + np.array([side * 0.3 * r, 0, r * b.uniform(0.3, 1.2)])), r * 0.28, r * 0.03, fur)
        for y in (-0.38, 0.42):
            hip = np.array([side * thick * 0.65, y * long, back - thick * 0.3])
            knee = _step(hip, (back - thick * 0.3) * 0.52, b.rng.normal(0, 0.3), 0)
            b.limb(_pair(hip), _pair(knee), thick * 0.4, thick * 0.22, fur)
            b.limb(_pair(knee), (float(knee[0]), float(knee[1]), thick * 0.15), thick * 0.2, thick * 0.15, fur)
    end = np.array([0, long * (0.6 + b.uniform(0.2, 0.7)), back + size * b.uniform(-0.3, 0.4)])
    b.limb((0, long * 0.55, back + thick * 0.5), _pair(end), thick * 0.2, thick * 0.06, fur)


def _bird(b: Builder, size: float) -> None:
    coat, leg = b.material(0.2, plain=0.4, mottle=0.5, bump=0.6), b.material(0.1, plain=1, tint=(0.6, 0.3, 0.05))
    b.ball(
        (0, 0, 0.55 * size), (0.22 * size, 0.4 * size, 0.25 * size), coat, look_at(np.zeros(3), np.array([0, 1, 0.3]))
    )
    b.ball((0, -0.3 * size, 0.9 * size), (0.15 * size, 0.17 * size, 0.16 * size), coat)
    b.limb((0, -0.42 * size, 0.9 * size), (0, -0.65 * size, 0.86 * size), 0.05 * size, 0.005 * size, leg)
    b.limb((0, 0.3 * size, 0.5 * size), (0, 0.8 * size, 0.35 * size), 0.12 * size, 0.02 * size, coat)
    for side in (-1, 1):
        b.ball((side * 0.2 * size, 0.05 * size, 0.58 * size), (0.06 * size, 0.38 * size, 0.18 * size), coat)
        b.rod((side * 0.08 * size, 0, 0.35 * size), (side * 0.08 * size, -0.03 * size, 0), 0.018 * size, leg)


def hand(b: Builder, wrist: Vector, way: Vector, palm: Vector, held: float) -> None:
    """A hand with a forearm, fingers along `way`, the inside towards `palm`; it holds a thing of `held` metres."""
    skin = skin_of(b)
    forward = way / np.linalg.norm(way)
    normal = palm - forward * float(palm @ forward)
    normal = normal / np.linalg.norm(normal)
    across = np.cross(forward, normal)
    frame = np.stack([across, normal, forward], axis=1)
    elbow = wrist - 0.28 * forward - 0.05 * normal
    b.limb(_pair(elbow), _pair(wrist), 0.045, 0.03, skin if b.chance(0.5) else _cloth(b))
    middle = wrist + 0.055 * forward
    b.ball(_pair(middle), (0.043, 0.016, 0.055), skin, frame)
    curl = b.uniform(0.1, 0.75)
    for k in range(4):
        start = middle + across * (0.03 - 0.02 * k) + forward * 0.045
        bend, length = 0.0, 0.045 - 0.006 * abs(k - 1.5)
        for joint in range(3):
            bend += curl * (0.6 + 0.4 * joint) + b.rng.normal(0, 0.05)
            end = start + length * (np.cos(bend) * forward + np.sin(bend) * normal)
            b.limb(_pair(start), _pair(end), 0.0098 - 0.001 * joint, 0.009 - 0.001 * joint, skin)
            start, length = end, length * 0.72
    thumb = middle + across * 0.04 - forward * 0.02
    tip = thumb + 0.045 * (0.6 * forward + 0.5 * across + 0.5 * normal)
    b.limb(_pair(thumb), _pair(tip), 0.013, 0.011, skin)
    b.limb(_pair(tip), _pair(tip + 0.03 * (0.8 * forward + 0.3 * normal)), 0.011, 0.009, skin)
    if held > 0:
        saved = b.base, b.frame
        grip = middle + normal * (0.02 + held * 0.3) + forward * 0.03
        b.base, b.frame = b.base + b.frame @ grip, b.frame @ np.stack([across, -forward, normal], axis=1)
        stand(b, 0, 0, -0.3 * held, held)
        b.base, b.frame = saved
