"""From a scene to pixels: where its things stand, how large they are, and the page they are pasted on.

Everything is drawn at least twice as large as asked and then reduced, so edges are smooth at 64 pixels. What
no caption mentions (position, exact size, direction, hair, clouds) varies from picture to picture.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from vljepa_core.datasets import scene_words as words
from vljepa_core.datasets.scene_grammar import Scene, Thing
from vljepa_core.datasets.scene_places import Page, background
from vljepa_core.datasets.scene_sprites import HAND, LOOKS, person, sprite

SIZE = {"": 1.0, "small": 0.6, "large": 1.36}
# Larger side as a share of the picture when a thing of middle size shares it with others; people are 0.66
# high.
EXTENT: dict[str, float] = {
    "boy": 0.5, "girl": 0.5, "dog": 0.32, "cat": 0.28, "bird": 0.2, "horse": 0.52, "elephant": 0.62,
    "giraffe": 0.66, "cow": 0.5, "sheep": 0.4, "zebra": 0.5, "bear": 0.5, "teddy bear": 0.2, "car": 0.56,
    "truck": 0.6, "bus": 0.58, "van": 0.58, "motorcycle": 0.5, "bicycle": 0.46, "airplane": 0.42,
    "train": 0.7, "locomotive": 0.6, "boat": 0.5, "pizza": 0.22, "cake": 0.24, "slice of pizza": 0.15,
    "piece of cake": 0.14, "donut": 0.13, "sandwich": 0.2, "plate of food": 0.24, "laptop": 0.27,
    "cup of coffee": 0.2, "potted plant": 0.28, "couch": 0.7, "bench": 0.62, "bed": 0.8, "chair": 0.5,
    "table": 0.74, "desk": 0.74, "tree": 0.72, "stop sign": 0.56, "house": 0.6, "umbrella": 0.4,
    "kite": 0.3, "frisbee": 0.17, "soccer ball": 0.15, "baseball": 0.1, "racket": 0.26, "cell phone": 0.12,
    "glass of wine": 0.17, "balloon": 0.24, "surfboard": 0.5, "skateboard": 0.3, "snowboard": 0.42,
}  # fmt: skip
ALONE: dict[str, float] = {  # the same when it has the picture to itself; 0.6 unless listed
    "boy": 0.56, "girl": 0.56, "tree": 0.7, "palm tree": 0.7, "giraffe": 0.7, "stop sign": 0.7,
    "traffic light": 0.68, "bus": 0.62, "train": 0.7, "locomotive": 0.66, "soccer ball": 0.36,
    "tennis ball": 0.34, "baseball": 0.36, "football": 0.4, "bird": 0.46, "couch": 0.66, "bed": 0.72,
    "table": 0.7, "desk": 0.7, "bench": 0.66, "surfboard": 0.6, "ship": 0.56, "kite": 0.5, "cat": 0.52,
    "dog": 0.54, "teddy bear": 0.5, "toilet": 0.52,
}  # fmt: skip
SADDLE = {  # where a rider's lowest point is: height from the mount's top, as a share of the mount's height
    "horse": 0.62, "bicycle": 0.7, "motorcycle": 0.72, "elephant": 0.42, "surfboard": 0.5,
    "skateboard": 0.25, "snowboard": 0.4,
}  # fmt: skip
BOARDS = ("surfboard", "skateboard", "snowboard")
SEAT_AT = {
    "couch": 0.98,
    "bench": 1.0,
    "bed": 0.7,
    "chair": 0.98,
}  # a sitter's lowest point, from the seat's top
LYING = ("pizza", "plate of food")  # round and flat: seen from the side when they are on a table


def draw(scene: Scene, key: str, image_size: int) -> np.ndarray:
    """uint8 ``(image_size, image_size, 3)``; everything left open by ``scene`` comes from the random stream
    ``key``."""
    random_ = random.Random(key)
    factor = max(2, -(-128 // image_size))
    stage = _Stage(scene, random_, image_size * factor)
    stage.place_things()
    image = stage.page.image.reduce(factor)
    return np.asarray(image)


class _Stage:
    """One page while it is being filled."""

    def __init__(self, scene: Scene, random_: random.Random, side: int) -> None:
        self.scene, self.random, self.side = scene, random_, side
        rails = any(thing.kind in ("train", "locomotive") for thing in scene.things)
        self.page: Page = background(scene.place, rails, side, self.rand)
        self.floating = scene.place == "water"
        self.in_sky = scene.place in words.SKIES or scene.frame == "above"

    def rand(self, low: float, high: float) -> float:
        return low + (high - low) * self.random.random()

    # --- pictures of things ---

    def picture(self, thing: Thing) -> Image.Image:
        kind = thing.kind
        if kind == "people":
            kind = ("man", "woman", "boy", "girl")[int(self.rand(0, 3.999))]
            thing = replace(
                thing,
                kind=kind,
                colour=("", "red", "blue", "green", "yellow", "white")[int(self.rand(0, 5.999))],
            )
        if kind in words.PERSONS:
            pose = thing.pose or "standing"
            if pose == "riding" and self.scene.things[1].kind in BOARDS:
                pose = "balancing"
            image = person(kind, thing.colour, int(self.rand(0, len(LOOKS) - 0.001)), pose, self.side // 2)
            return image.crop(image.getbbox()) if pose != "holding" else image
        if kind == "bird" and self.in_sky:
            kind = "flying bird"
        if kind == "airplane" and self.scene.place == "runway":
            kind = "standing airplane"
        if kind == "tree" and self.scene.place in ("snow", "mountain"):
            kind = "pine"
        if kind == "surfboard" and self.scene.frame == "ride":
            kind = "flat surfboard"
        if kind == "surfboard" and self.scene.place == "water":
            kind = "flat surfboard"
        return sprite(kind, thing.colour, self.side)

    def paste(
        self,
        thing: Thing,
        x: float,
        base: float,
        extent: float,
        *,
        flip: bool | None = None,
        shadow: bool = True,
        anchor: str = "base",
        squash: float = 1.0,
    ) -> tuple[float, float, float, float]:
        """Draw one thing with its foot (or, ``anchor="middle"``, its centre) at (x, base) and its larger
        side ``extent``, moved and shrunk as needed to lie wholly on the page. Returns its box (left, top,
        right, bottom) in page shares."""
        image = self.picture(thing)
        if flip is None:
            flip = self.random.random() < 0.5
        if flip and thing.kind not in ("stop sign", "clock"):
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        extent *= SIZE[thing.size] if thing.count < 3 or thing.size != "small" else 0.75  # of many, small is not tiny
        scale = min(extent * self.side / max(image.size), 0.95 * self.side / max(image.size))
        w, h = max(3, round(image.width * scale)), max(3, round(image.height * scale * squash))
        image = image.resize((w, h), Image.Resampling.BILINEAR, reducing_gap=2.0)
        foot = base * self.side + (h / 2 if anchor == "middle" else 0)
        left = min(max(x * self.side - w / 2, 0.02 * self.side), 0.98 * self.side - w)
        top = min(max(foot - h, 0.02 * self.side), 0.98 * self.side - h)
        left, top = round(left), round(top)
        if shadow and anchor == "base" and not self.floating and not self.in_sky:
            self._shadow(left, top + h, w)
        if shadow and self.floating and anchor == "base":
            image = image.crop((0, 0, w, round(h * 0.93)))
            ripple = self.page.draw
            ripple.ellipse((left - 0.02 * w, top + h * 0.86, left + 1.02 * w, top + h * 1.0), fill=(176, 216, 238))
        self.page.image.paste(image, (left, top), image)
        return left / self.side, top / self.side, (left + w) / self.side, (top + h) / self.side

    def _shadow(self, left: float, bottom: float, width: float) -> None:
        height = max(3, round(0.1 * width))
        ellipse = Image.new("L", (round(width), height))
        ImageDraw.Draw(ellipse).ellipse((0, 0, width - 1, height - 1), fill=70)
        self.page.image.paste((20, 24, 30), (round(left), round(bottom - height * 0.62)), ellipse)

    # --- who stands where ---

    def extent(self, thing: Thing) -> float:
        return EXTENT.get(thing.kind, 0.66 if thing.kind in words.PERSONS else 0.4)

    def place_things(self) -> None:
        getattr(self, f"_{self.scene.frame}")(*self.scene.things)

    def _plain(self, thing: Thing) -> None:
        self.paste(
            thing,
            0.5 + self.rand(-0.06, 0.06),
            0.5 + self.rand(-0.06, 0.06),
            self.rand(0.62, 0.74),
            anchor="middle",
            shadow=False,
        )

    def _alone(self, thing: Thing) -> None:
        n = thing.count
        whole = ALONE.get(thing.kind, 0.72 if thing.kind in words.PERSONS else 0.62 if thing.kind == "people" else 0.6)
        extent = whole * {1: 1.0, 2: 0.68, 3: 0.52, 5: 0.42}[n] * self.rand(0.93, 1.07)
        if thing.kind == "people":
            extent = {2: 0.64, 3: 0.6, 5: 0.5}[n] * self.rand(0.95, 1.05)
        narrow = thing.kind == "people" or thing.kind == "giraffe"
        if self.in_sky or self.scene.place == "plain" or thing.kind == "clock":
            anchor, level = "middle", 0.34 if thing.kind == "clock" and self.scene.place != "plain" else 0.5
        else:
            anchor, level = "base", 0.9
        if thing.kind == "clock" and self.scene.place != "plain":
            extent *= 0.6
        spots = {
            1: [(0.5, 0.0)],
            2: [(0.27, -0.03), (0.73, 0.02)],
            3: [(0.2, -0.02), (0.5, 0.03), (0.8, -0.01)],
            5: [(0.3, -0.2), (0.7, -0.19), (0.18, 0.0), (0.5, 0.03), (0.82, 0.01)],
        }[n]
        if n == 5 and narrow:
            spots = [(0.34, -0.1), (0.66, -0.1), (0.18, 0.0), (0.5, 0.03), (0.82, 0.01)]
        if anchor == "middle" and n == 5:
            spots = [(x, y * 1.6 + 0.14) for x, y in spots]
        flip = self.random.random() < 0.5
        jitter = 0.1 if n == 1 else 0.025
        for x, y in spots:
            self.paste(
                thing,
                x + self.rand(-jitter, jitter),
                level + y + self.rand(-0.02, 0.02),
                extent,
                flip=flip,
                anchor=anchor,
            )

    def _pair(self, first: Thing, second: Thing) -> None:
        left = self.rand(0.26, 0.34)
        places = [left, left + self.rand(0.34, 0.42)]
        if self.random.random() < 0.5:
            places.reverse()
        for thing, x in ((first, places[0]), (second, places[1])):
            self.paste(thing, x, self.rand(0.88, 0.93), self.extent(thing))

    def _hold(self, holder: Thing, prop: Thing) -> None:
        flip = self.random.random() < 0.5
        box = self.paste(
            holder,
            0.5 + (0.1 if flip else -0.1) + self.rand(-0.05, 0.05),
            self.rand(0.9, 0.95),
            self.extent(holder) * 1.08,
            flip=flip,
        )
        share = 1 - HAND[0] if flip else HAND[0]
        x, y = box[0] + share * (box[2] - box[0]), box[1] + HAND[1] * (box[3] - box[1])
        out = -1 if flip else 1
        extent = self.extent(prop)
        kind = prop.kind
        if kind == "soccer ball":
            self.paste(prop, x + 0.03 * out, box[3], extent)
        elif kind == "kite":
            kite = self.paste(prop, x + 0.16 * out, self.rand(0.18, 0.26), extent, anchor="middle", flip=flip)
            self.page.line([((kite[0] + kite[2]) / 2, kite[3] - 0.02), (x, y)], (40, 40, 40), 0.008)
        elif kind == "frisbee" and self.random.random() < 0.7:
            self.paste(prop, x + 0.16 * out, y - 0.08, extent, anchor="middle", flip=flip)
        elif kind == "umbrella":
            self.paste(prop, x - 0.03 * out, y + 0.09, extent, flip=flip, shadow=False)
        elif kind in ("racket", "balloon", "glass of wine"):
            self.paste(prop, x, y + 0.03, extent, shadow=False, flip=flip)
        elif kind in ("surfboard", "skateboard", "teddy bear"):
            self.paste(prop, x + 0.03 * out, y + (0.26 if kind == "surfboard" else 0.08), extent, shadow=False)
        else:
            self.paste(prop, x + 0.02 * out, y - 0.01, extent, anchor="middle", shadow=False, flip=False)

    def _ride(self, rider: Thing, mount: Thing) -> None:
        on_board = mount.kind in BOARDS
        flip = self.random.random() < 0.5  # OpenMoji's animals look left, its riders here look right
        x, base = 0.5 + self.rand(-0.08, 0.08), self.rand(0.86, 0.92)
        faces_left = mount.kind in ("horse", "elephant", "motorcycle")
        box = self.paste(mount, x, base, self.extent(mount) * (1.0 if on_board else 1.16), flip=flip)
        seat = box[1] + SADDLE[mount.kind] * (box[3] - box[1])
        middle = (box[0] + box[2]) / 2
        self.paste(
            rider,
            middle,
            seat,
            self.extent(rider) * (0.95 if on_board else 0.78),
            flip=flip != faces_left,
            shadow=False,
        )

    def _sit(self, sitter: Thing, seat: Thing) -> None:
        x, base = 0.5 + self.rand(-0.06, 0.06), self.rand(0.88, 0.92)
        box = self.paste(seat, x, base, self.extent(seat) * 1.05)
        human = sitter.kind in words.PERSONS
        foot = box[1] + (SEAT_AT[seat.kind] if human else 0.72 if seat.kind != "bed" else 0.5) * (box[3] - box[1])
        span = 0.0 if seat.kind == "chair" else 0.14 * (box[2] - box[0])
        self.paste(
            sitter,
            (box[0] + box[2]) / 2 + self.rand(-span, span),
            foot,
            self.extent(sitter) * 0.92,
            shadow=False,
        )

    def _on(self, item: Thing, support: Thing) -> None:
        box = self.paste(support, 0.5 + self.rand(-0.05, 0.05), self.rand(0.9, 0.95), self.extent(support) * 1.05)
        span = 0.2 * (box[2] - box[0])
        foot = box[1] + 0.14 * (box[3] - box[1])
        squash = 0.42 if item.kind in LYING else 1.0
        x = (box[0] + box[2]) / 2 + self.rand(-span, span)
        self.paste(item, x, foot, self.extent(item) * 1.15, shadow=False, squash=squash)

    def _beside(self, *things: Thing) -> None:
        *subjects, landmark = things
        side = 1 if self.random.random() < 0.5 else -1
        alone = len(subjects) == 1
        spots = [0.0] if alone else [-0.13, 0.13]  # of the subjects, around their centre
        if self.scene.relation == "next to":
            self.paste(
                landmark,
                0.5 + side * 0.26,
                self.rand(0.86, 0.9),
                self.extent(landmark) * (0.9 if alone else 0.8),
            )
            centre, base, scale = 0.5 - side * (0.3 if alone else 0.24), 0.92, 0.9 if alone else 0.8
        elif self.scene.relation == "in front of":
            self.paste(landmark, 0.5 + side * 0.08, self.rand(0.76, 0.8), self.extent(landmark) * 1.15)
            centre, base, scale = 0.5 - side * 0.08, 0.96, 0.84
        else:  # behind: drawn first, and at the landmark's edges, so that a tall one does not hide them
            edge = 0.42 * self.extent(landmark) * SIZE[landmark.size] * (0.6 if landmark.kind == "stop sign" else 1.0)
            centre, base, scale = 0.5, 0.8, 0.84
            spots = [side * edge] if alone else [-edge, edge]
        if self.random.random() < 0.5:
            spots.reverse()
        for subject, dx in zip(subjects, spots, strict=True):
            x, foot = centre + dx + self.rand(-0.02, 0.02), base + self.rand(-0.01, 0.02)
            self.paste(subject, x, foot, self.extent(subject) * scale)
        if self.scene.relation == "behind":
            self.paste(landmark, 0.5, 0.93, self.extent(landmark))

    _three = _beside

    def _above(self, flyer: Thing) -> None:
        n = flyer.count
        for k in range(n):
            x = (k + 0.5) / n + self.rand(-0.04, 0.04)
            extent = {"airplane": 0.4, "bird": 0.26, "kite": 0.3}[flyer.kind] * (
                1.0 if n == 1 else 0.8 if n == 2 else 0.66
            )
            self.paste(
                flyer,
                x,
                self.rand(0.18, 0.26) + (0.1 * (k % 2) if n > 2 else 0),
                extent,
                anchor="middle",
                flip=False,
            )
