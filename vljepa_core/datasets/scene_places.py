"""Backgrounds: one drawn page per place, simple shapes in clear colours, each a little different every
time."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageDraw

from vljepa_core.datasets.scene_sprites import RGB, sprite

Rand = Callable[[float, float], float]  # rand(low, high) -> uniform


class Page:
    """A square RGB picture whose coordinates run from 0 to 1, downwards."""

    def __init__(self, side: int, rand: Rand) -> None:
        self.side, self.rand = side, rand
        self.image = Image.new("RGB", (side, side))
        self.draw = ImageDraw.Draw(self.image)

    def _px(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * self.side, y * self.side) for x, y in points]

    def tint(self, colour: RGB, amount: float = 14) -> RGB:
        """The colour, a little lighter or darker and a little off in each channel."""
        shift = self.rand(-amount, amount)
        return tuple(min(255, max(0, int(c + shift + self.rand(-amount / 3, amount / 3)))) for c in colour)

    def gradient(self, y0: float, y1: float, top: RGB, bottom: RGB) -> None:
        strip = Image.new("RGB", (1, 2))
        strip.putpixel((0, 0), top)
        strip.putpixel((0, 1), bottom)
        box = (0, round(y0 * self.side), self.side, round(y1 * self.side))
        self.image.paste(strip.resize((self.side, box[3] - box[1]), Image.Resampling.BILINEAR), box[:2])

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
        (a, b), (c, d) = self._px([(x0, y0), (x1, y1)])
        self.draw.rectangle((a, b, max(a, c), max(b, d)), colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: RGB) -> None:
        (a, b), (c, d) = self._px([(x - rx, y - ry), (x + rx, y + ry)])
        self.draw.ellipse((a, b, c, d), colour)

    def shape(self, points: list[tuple[float, float]], colour: RGB) -> None:
        self.draw.polygon(self._px(points), colour)

    def line(self, points: list[tuple[float, float]], colour: RGB, width: float) -> None:
        self.draw.line(self._px(points), colour, max(1, round(width * self.side)))

    def stamp(self, name: str, x: float, base: float, height: float, colour: str = "") -> None:
        """A glyph standing at (x, base), ``height`` high."""
        picture = sprite(name, colour, self.side)
        h = max(2, round(height * self.side))
        w = max(2, round(picture.width * h / picture.height))
        picture = picture.resize((w, h), Image.Resampling.BILINEAR)
        self.image.paste(picture, (round(x * self.side - w / 2), round(base * self.side - h)), picture)


def _sky(page: Page, horizon: float, clouds: bool = True) -> None:
    page.gradient(0, horizon, page.tint((120, 186, 240)), page.tint((206, 232, 250), 8))
    if clouds and page.rand(0, 1) < 0.5:
        _cloud(page, page.rand(0.1, 0.9), page.rand(0.06, 0.18), page.rand(0.7, 1.1), (250, 252, 255))


def _cloud(page: Page, x: float, y: float, size: float, colour: RGB) -> None:
    for dx, dy, r in ((-0.09, 0.01, 0.045), (0, -0.015, 0.065), (0.09, 0.01, 0.05), (0.03, 0.02, 0.06)):
        page.oval(x + dx * size, y + dy * size, r * 1.3 * size, r * size, colour)


def _plain(page: Page) -> None:
    base = [(226, 230, 236), (238, 230, 214), (214, 228, 222), (230, 218, 224), (205, 212, 226)][
        int(page.rand(0, 4.999))
    ]
    colour = page.tint(base, 10)
    page.gradient(0, 1, colour, tuple(int(c * 0.9) for c in colour))


def _street(page: Page) -> None:
    horizon = page.rand(0.48, 0.56)
    _sky(page, horizon)
    x = page.rand(-0.15, 0.0)
    while x < 1:
        width, height = page.rand(0.14, 0.26), page.rand(0.16, 0.36)
        wall = page.tint([(196, 150, 124), (176, 180, 190), (214, 196, 160), (158, 168, 180)][int(page.rand(0, 3.999))])
        page.box(x, horizon - height, x + width, horizon, wall)
        glass = tuple(int(c * 0.68) for c in wall)
        for row in range(int(height / 0.09)):
            for column in range(int(width / 0.07)):
                wx, wy = x + 0.025 + column * 0.07, horizon - height + 0.03 + row * 0.09
                page.box(wx, wy, wx + 0.03, wy + 0.045, glass)
        x += width + page.rand(0, 0.03)
    page.box(0, horizon, 1, horizon + 0.09, page.tint((198, 196, 192), 8))
    page.box(0, horizon + 0.09, 1, horizon + 0.105, (150, 150, 150))
    page.box(0, horizon + 0.105, 1, 1, page.tint((112, 114, 120), 8))
    shift = page.rand(-0.2, 0)
    for k in range(6):
        page.box(shift + k * 0.25, 0.8, shift + k * 0.25 + 0.13, 0.825, (236, 232, 214))


def _beach(page: Page) -> None:
    horizon = page.rand(0.34, 0.42)
    _sky(page, horizon)
    shore = page.rand(0.56, 0.64)
    page.gradient(horizon, 1, page.tint((40, 130, 190)), (90, 190, 210))
    left, right = shore + page.rand(-0.04, 0.04), shore + page.rand(-0.04, 0.04)
    page.shape([(0, left - 0.03), (0.5, shore - 0.01), (1, right - 0.03), (1, 1), (0, 1)], (240, 250, 252))
    page.shape([(0, left), (0.5, shore + 0.02), (1, right), (1, 1), (0, 1)], page.tint((238, 214, 156), 10))


def _grass(page: Page, horizon: float, colour: RGB = (126, 184, 78)) -> None:
    far = page.tint(colour)
    page.box(0, horizon, 1, 1, far)
    page.oval(page.rand(0.1, 0.4), horizon + 0.06, 0.5, 0.14, page.tint(far, 8))
    page.gradient(horizon + 0.12, 1, far, tuple(int(c * 0.86) for c in far))


def _field(page: Page) -> None:
    horizon = page.rand(0.42, 0.52)
    _sky(page, horizon)
    _grass(page, horizon)
    for _ in range(14):
        x, y = page.rand(0, 1), page.rand(horizon + 0.15, 0.99)
        page.line([(x - 0.012, y - 0.03), (x, y), (x + 0.012, y - 0.03)], (84, 140, 52), 0.008)


def _park(page: Page) -> None:
    horizon = page.rand(0.46, 0.52)
    _sky(page, horizon)
    _grass(page, horizon, (142, 196, 92))
    page.shape([(0.42, horizon + 0.1), (0.52, horizon + 0.1), (0.95, 1), (0.25, 1)], page.tint((222, 204, 168), 6))
    for x in (page.rand(0.02, 0.16), page.rand(0.3, 0.5), page.rand(0.62, 0.74), page.rand(0.86, 0.98)):
        page.stamp("tree", x, horizon + page.rand(0.06, 0.14), page.rand(0.34, 0.46))


def _snow(page: Page) -> None:
    horizon = page.rand(0.44, 0.52)
    page.gradient(0, horizon, page.tint((176, 204, 228), 8), (226, 236, 244))
    hill = horizon - page.rand(0.04, 0.12)
    ridge = [(0, horizon), (0.3, hill), (0.75, horizon + 0.02), (1, horizon - 0.05), (1, 1), (0, 1)]
    page.shape(ridge, (226, 234, 244))
    page.gradient(horizon + 0.02, 1, (250, 252, 255), page.tint((222, 232, 246), 5))
    for x in (page.rand(0.02, 0.2), page.rand(0.35, 0.6), page.rand(0.8, 0.98)):
        page.stamp("pine", x, horizon + page.rand(0.05, 0.1), page.rand(0.24, 0.36))
    for _ in range(16):
        page.oval(page.rand(0, 1), page.rand(0, 0.9), 0.009, 0.009, (255, 255, 255))


def _desert(page: Page) -> None:
    horizon = page.rand(0.42, 0.5)
    page.gradient(0, horizon, page.tint((150, 196, 236), 8), (250, 226, 184))
    page.oval(page.rand(0.1, 0.9), page.rand(0.08, 0.16), 0.06, 0.06, (255, 236, 130))
    sand = page.tint((224, 168, 98), 10)
    page.oval(page.rand(0.0, 0.4), horizon + 0.05, 0.5, 0.12, tuple(int(c * 0.92) for c in sand))
    page.gradient(horizon + 0.02, 1, sand, tuple(int(c * 0.88) for c in sand))
    for x in (page.rand(0.04, 0.2), page.rand(0.8, 0.96)):
        page.stamp("cactus", x, horizon + page.rand(0.08, 0.16), page.rand(0.16, 0.26))


def _mountain(page: Page) -> None:
    horizon = page.rand(0.56, 0.62)
    _sky(page, horizon, clouds=False)
    for x, height, half in (
        (page.rand(0.6, 0.9), page.rand(0.3, 0.38), 0.4),
        (page.rand(0.15, 0.45), page.rand(0.42, 0.5), 0.46),
    ):
        rock, top = page.tint((132, 134, 146), 10), horizon - height
        page.shape([(x - half, horizon + 0.02), (x, top), (x + half, horizon + 0.02)], rock)
        page.shape(
            [(x, top), (x + half, horizon + 0.02), (x + half * 0.25, horizon + 0.02)],
            tuple(int(c * 0.84) for c in rock),
        )
        # In units of the peak's half width and height, from its top.
        cap = [(0, 0), (0.34, 0.34), (0.14, 0.25), (0, 0.37), (-0.17, 0.24), (-0.34, 0.34)]
        page.shape([(x + half * dx, top + height * dy) for dx, dy in cap], (250, 252, 255))
    _grass(page, horizon, (150, 168, 96))


def _water(page: Page) -> None:
    horizon = page.rand(0.3, 0.4)
    _sky(page, horizon)
    page.gradient(horizon, 1, page.tint((70, 150, 205), 10), page.tint((28, 96, 160), 10))
    for _ in range(14):
        x, y = page.rand(0, 1), page.rand(horizon + 0.05, 0.98)
        w = 0.03 + 0.06 * (y - horizon)
        page.line(
            [(x - w, y), (x - w / 2, y - 0.012), (x, y), (x + w / 2, y - 0.012), (x + w, y)],
            (160, 208, 236),
            0.009,
        )


def _inside(page: Page, wall: RGB, floor: RGB) -> float:
    line = page.rand(0.6, 0.66)
    page.box(0, 0, 1, line, page.tint(wall, 12))
    page.box(0, line - 0.025, 1, line, (246, 244, 240))
    page.gradient(line, 1, page.tint(floor, 10), tuple(int(c * 0.88) for c in floor))
    return line


def _living_room(page: Page) -> None:
    wall = [(236, 214, 178), (190, 212, 206), (214, 204, 226), (232, 200, 190)][int(page.rand(0, 3.999))]
    line = _inside(page, wall, (186, 140, 96))
    page.stamp("picture", page.rand(0.14, 0.34), 0.3, 0.2)
    page.stamp("window", page.rand(0.66, 0.86), 0.34, 0.27)
    page.oval(0.5, line + 0.25, 0.42, 0.08, page.tint((170, 96, 84), 20))


def _kitchen(page: Page) -> None:
    _inside(page, (240, 240, 232), (206, 200, 190))
    unit = page.tint((108, 150, 160), 22)
    for x in (0.0, 0.26, 0.52, 0.78):
        page.box(x + 0.008, 0.0, x + 0.245, 0.17, unit)
        page.oval(x + 0.21, 0.13, 0.012, 0.012, (250, 240, 210))
    for k in range(7):
        page.line([(k / 6, 0.18), (k / 6, 0.42)], (208, 212, 206), 0.008)
    for y in (0.26, 0.34):
        page.line([(0, y), (1, y)], (208, 212, 206), 0.008)
    page.box(0, 0.42, 1, 0.46, (92, 78, 70))
    for x in (0.0, 0.26, 0.52, 0.78):
        page.box(x + 0.008, 0.47, x + 0.245, 0.66, unit)
        page.oval(x + 0.21, 0.5, 0.012, 0.012, (250, 240, 210))


def _bathroom(page: Page) -> None:
    line = _inside(page, (196, 224, 230), (222, 222, 222))
    for k in range(1, 7):
        page.line([(k / 7, 0), (k / 7, line - 0.03)], (236, 246, 248), 0.008)
    for k in range(1, 5):
        page.line([(0, k * line / 5), (1, k * line / 5)], (236, 246, 248), 0.008)


def _tracks(page: Page) -> None:
    _field(page)
    _rails(page)


def _rails(page: Page) -> None:
    """Rails in the foreground, on gravel."""
    page.box(0, 0.79, 1, 0.96, (170, 158, 146))
    for k in range(12):
        page.box(k * 0.09 + 0.01, 0.81, k * 0.09 + 0.045, 0.94, (104, 76, 56))
    for y in (0.835, 0.9):
        page.box(0, y, 1, y + 0.018, (84, 88, 96))


def _runway(page: Page) -> None:
    horizon = page.rand(0.46, 0.54)
    _sky(page, horizon)
    _grass(page, horizon, (136, 178, 92))
    page.box(0, horizon + 0.12, 1, 0.97, page.tint((120, 122, 128), 8))
    for k in range(6):
        page.box(k * 0.2 + 0.03, 0.9, k * 0.2 + 0.13, 0.92, (240, 240, 236))


def _blue_sky(page: Page) -> None:
    page.gradient(0, 1, page.tint((66, 144, 226)), page.tint((150, 206, 248)))


def _cloudy_sky(page: Page) -> None:
    page.gradient(0, 1, page.tint((146, 172, 198), 8), page.tint((198, 212, 224), 8))
    for x, y in ((0.18, 0.2), (0.72, 0.14), (0.4, 0.8), (0.86, 0.68), (0.08, 0.6)):
        _cloud(
            page,
            x + page.rand(-0.08, 0.08),
            y + page.rand(-0.06, 0.06),
            page.rand(1.4, 2.0),
            page.tint((236, 240, 244), 8),
        )


def _orange_sky(page: Page) -> None:
    page.gradient(0, 1, page.tint((236, 110, 60)), page.tint((254, 206, 112)))
    page.oval(page.rand(0.2, 0.8), page.rand(0.78, 0.9), 0.1, 0.1, (255, 240, 170))


BACKGROUNDS: dict[str, Callable[[Page], None]] = {
    "plain": _plain, "street": _street, "beach": _beach, "field": _field, "park": _park, "snow": _snow,
    "desert": _desert, "mountain": _mountain, "water": _water, "living room": _living_room,
    "kitchen": _kitchen, "bathroom": _bathroom, "tracks": _tracks, "runway": _runway, "blue sky": _blue_sky,
    "cloudy sky": _cloudy_sky, "orange sky": _orange_sky,
}  # fmt: skip


def background(place: str, rails: bool, side: int, rand: Rand) -> Page:
    """A fresh page of ``side`` x ``side`` pixels showing ``place``; ``rails`` puts train tracks into it."""
    page = Page(side, rand)
    BACKGROUNDS[place](page)
    if rails and place != "tracks":
        _rails(page)
    return page
