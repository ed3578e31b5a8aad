"""The vocabulary of the scenes: kinds of things, where they stand, how often, and what they are called.

Pure tables of weights (they need not sum to 1). A kind's silent default ("" as colour, size, pose) is what a
caption says by not mentioning it. Words follow the study's category patterns and content-word list, so that
its metrics apply.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Table = dict[str, float]


@dataclass(frozen=True)
class Kind:
    """One kind of thing. ``colours``, ``counts`` and ``poses`` are its attribute tables (empty: it has no
    such attribute)."""

    names: Table
    places: Table
    colours: Table = field(default_factory=dict)
    plural: str = ""
    counts: dict[int, float] = field(default_factory=lambda: {1: 0.74, 2: 0.15, 3: 0.07, 5: 0.04})
    count_words: dict[int, Table] = field(default_factory=dict)
    sized: bool = False
    poses: Table = field(default_factory=dict)
    verb: Table = field(default_factory=lambda: {"": 0.6, "sitting": 0.4})
    flies: bool = False

    def verbs(self, place: str) -> Table:
        """What a thing of this kind does in ``place``, in words only: the picture does not depend on it."""
        if place == "plain":
            return {"": 1.0}
        return {"flying": 1.0} if self.flies and place in SKIES else self.verb


# --- places: what they are called. Most words here are not among the study's "outdoor" ones ---
SKIES = ("blue sky", "cloudy sky", "orange sky")
PLACES: dict[str, Table] = {
    "plain": {"": 1.0},
    "street": {"on the street": 0.22, "on a city street": 0.08, "on the road": 0.45, "on a road": 0.25},
    "beach": {"on the beach": 0.35, "on a sandy beach": 0.1, "on the sand": 0.35, "in the sand": 0.2},
    "field": {
        "in a field": 0.14,
        "in a grassy field": 0.06,
        "in the grass": 0.35,
        "on the grass": 0.25,
        "on green grass": 0.2,
    },
    "park": {"in the park": 0.3, "in a park": 0.3, "near some trees": 0.4},
    "snow": {"in the snow": 0.7, "on the snow": 0.3},
    "desert": {"in the desert": 0.6, "in a desert": 0.4},
    "mountain": {"near a mountain": 0.5, "in front of a mountain": 0.5},
    "water": {"in the water": 0.5, "on the water": 0.3, "in the ocean": 0.2},
    "living room": {"in a living room": 0.6, "in the living room": 0.4},
    "kitchen": {"in a kitchen": 0.6, "in the kitchen": 0.4},
    "bathroom": {"in a bathroom": 0.6, "in the bathroom": 0.4},
    "tracks": {"on the tracks": 0.5, "on the train tracks": 0.2, "on the railroad tracks": 0.3},
    "runway": {"on the runway": 0.6, "on a runway": 0.4},
    "blue sky": {"in a blue sky": 0.5, "in the blue sky": 0.5},
    "cloudy sky": {"in a cloudy sky": 0.5, "in the cloudy sky": 0.5},
    "orange sky": {"in an orange sky": 0.5, "at sunset": 0.5},
}
OVER: dict[str, Table] = {  # what flying things fly over; nothing else is said of these places
    "beach": {"the beach": 0.5, "a beach": 0.5},
    "field": {"a field": 0.4, "a grassy field": 0.2, "the grass": 0.4},
    "street": {"a street": 0.2, "a city street": 0.2, "a city": 0.6},
    "mountain": {"a mountain": 0.5, "the mountain": 0.5},
    "water": {"the water": 0.6, "the ocean": 0.4},
    "desert": {"a desert": 0.5, "the desert": 0.5},
}

# --- attributes ---
SIZES: Table = {"": 0.74, "small": 0.13, "large": 0.13}
SIZE_WORDS: dict[str, Table] = {"small": {"small": 0.6, "little": 0.4}, "large": {"large": 0.6, "big": 0.4}}
COUNT_WORDS: dict[int, Table] = {
    2: {"two": 0.8, "a couple of": 0.2},
    3: {"three": 1.0},
    5: {"a group of": 0.7, "several": 0.3},
}
SHIRTS: Table = {
    "": 0.4,
    "red": 0.15,
    "blue": 0.13,
    "green": 0.06,
    "yellow": 0.06,
    "white": 0.09,
    "black": 0.11,
}
SHIRT_WORDS: Table = {
    "in a {colour} shirt": 0.55,
    "wearing a {colour} shirt": 0.3,
    "with a {colour} shirt": 0.15,
}
PAINTS: Table = {
    "": 0.25,
    "red": 0.22,
    "blue": 0.13,
    "yellow": 0.12,
    "white": 0.12,
    "black": 0.08,
    "green": 0.08,
}
BRIGHT: Table = {"red": 0.3, "blue": 0.25, "yellow": 0.2, "green": 0.15, "pink": 0.1}
POSE_VERBS: dict[str, Table] = {
    "standing": {"standing": 1.0},
    "walking": {"walking": 1.0},
    "running": {"running": 1.0},
    "sitting": {"sitting": 1.0},
}

# --- kinds ---
_OUT = {
    "street": 0.2,
    "beach": 0.2,
    "field": 0.17,
    "park": 0.13,
    "snow": 0.15,
    "mountain": 0.05,
    "living room": 0.1,
}
_STREET = {"street": 0.72, "snow": 0.1, "field": 0.06, "desert": 0.06, "beach": 0.06}
_PET = {"living room": 0.3, "field": 0.3, "beach": 0.1, "snow": 0.1, "street": 0.1, "kitchen": 0.1}
_FARM = {"field": 0.65, "snow": 0.12, "mountain": 0.11, "street": 0.06, "beach": 0.06}
_WILD = {"field": 0.5, "desert": 0.25, "water": 0.1, "park": 0.15}
_CLOSE = {"plain": 0.7, "kitchen": 0.3}
_HERD = {5: {"a herd of": 0.7, "a group of": 0.3}}
_WALKING = {"standing": 0.45, "walking": 0.35, "": 0.2}
_PARKED = {"parked": 0.6, "sitting": 0.15, "": 0.25}


def _person(names: Table) -> Kind:
    poses = {"": 0.45, "walking": 0.22, "running": 0.18, "sitting": 0.15}
    return Kind(names, {**_OUT, "kitchen": 0.06}, SHIRTS, poses=poses, verb={"standing": 0.85, "": 0.15})


def _animal(name: str, places: Table, colours: Table | None = None, plural: str = "", **more) -> Kind:
    more = {"verb": _WALKING, **more}
    return Kind({name: 1.0}, places, colours or {}, plural or name + "s", sized=True, **more)


KINDS: dict[str, Kind] = {
    "man": _person({"man": 0.85, "young man": 0.15}),
    "woman": _person({"woman": 0.85, "young woman": 0.15}),
    "boy": _person({"boy": 0.5, "young boy": 0.3, "little boy": 0.2}),
    "girl": _person({"girl": 0.5, "young girl": 0.3, "little girl": 0.2}),
    "old man": _person({"old man": 0.6, "older man": 0.4}),
    "old woman": _person({"old woman": 0.6, "older woman": 0.4}),
    "people": Kind({}, _OUT, plural="people", counts={2: 0.4, 3: 0.25, 5: 0.35}, verb={"standing": 0.85, "": 0.15}),
    "dog": _animal("dog", _PET, {"": 0.5, "black": 0.25, "white": 0.25}),
    "cat": _animal("cat", {**_PET, "living room": 0.6}, {"": 0.34, "black": 0.28, "white": 0.18, "gray": 0.2}),
    "bird": _animal(
        "bird",
        {
            "blue sky": 0.2,
            "cloudy sky": 0.1,
            "field": 0.2,
            "beach": 0.15,
            "water": 0.15,
            "snow": 0.1,
            "street": 0.1,
        },
        {"": 0.4, "white": 0.2, "black": 0.15, "blue": 0.1, "red": 0.1, "yellow": 0.05},
        count_words={5: {"a flock of": 0.7, "a group of": 0.3}},
        verb={"standing": 0.5, "sitting": 0.3, "": 0.2},
        flies=True,
    ),
    "horse": _animal("horse", _FARM, {"": 0.6, "white": 0.2, "black": 0.2}, count_words=_HERD),
    "sheep": _animal("sheep", _FARM, {"": 0.85, "black": 0.15}, plural="sheep", count_words=_HERD),
    "cow": _animal("cow", _FARM, {"": 0.65, "black": 0.35}, count_words=_HERD),
    "elephant": _animal("elephant", _WILD, count_words=_HERD),
    "giraffe": _animal("giraffe", _WILD, count_words=_HERD),
    "zebra": _animal("zebra", _WILD, count_words=_HERD),
    "bear": _animal(
        "bear",
        {"field": 0.4, "snow": 0.25, "water": 0.2, "mountain": 0.15},
        {"": 0.55, "black": 0.25, "white": 0.2},
        verb={"sitting": 0.5, "": 0.5},
    ),
    "teddy bear": Kind({"teddy bear": 1.0}, {"plain": 0.4, "living room": 0.6}, {"": 0.6, "pink": 0.2, "white": 0.2}),
    "car": Kind({"car": 1.0}, _STREET, PAINTS, "cars", sized=True, verb=_PARKED),
    "truck": Kind({"truck": 0.7, "pickup truck": 0.3}, _STREET, PAINTS, sized=True, verb=_PARKED),
    "bus": Kind(
        {"bus": 0.7, "city bus": 0.3},
        _STREET,
        {"red": 0.4, "yellow": 0.25, "blue": 0.2, "": 0.15},
        verb={**_PARKED, "driving": 0.4},
    ),
    "van": Kind({"van": 1.0}, _STREET, {"": 0.5, "red": 0.2, "blue": 0.2, "yellow": 0.1}, verb=_PARKED),
    "motorcycle": Kind({"motorcycle": 1.0}, _STREET, {"": 0.3, "red": 0.3, "blue": 0.2, "green": 0.2}, verb=_PARKED),
    "bicycle": Kind(
        {"bicycle": 0.5, "bike": 0.5},
        {"street": 0.6, "park": 0.15, "snow": 0.1, "beach": 0.15},
        {"": 0.4, "red": 0.3, "blue": 0.3},
        verb=_PARKED,
    ),
    "airplane": Kind(
        {"airplane": 0.5, "plane": 0.3, "jet": 0.2},
        {"blue sky": 0.4, "cloudy sky": 0.2, "orange sky": 0.12, "runway": 0.28},
        {"": 0.6, "white": 0.2, "blue": 0.1, "red": 0.1},
        sized=True,
        verb=_PARKED,
        flies=True,
    ),
    "boat": Kind(
        {"boat": 1.0},
        {"water": 1.0},
        {"": 0.4, "white": 0.2, "red": 0.2, "blue": 0.2},
        "boats",
        sized=True,
        verb={"floating": 0.4, "sailing": 0.4, "": 0.2},
    ),
    "ship": Kind({"ship": 1.0}, {"water": 1.0}, sized=True, verb={"floating": 0.4, "sailing": 0.4, "": 0.2}),
    "train": Kind(
        {"train": 0.8, "passenger train": 0.2},
        {"tracks": 0.6, "snow": 0.15, "mountain": 0.15, "field": 0.1},
        {"": 0.15, "red": 0.25, "blue": 0.2, "yellow": 0.2, "green": 0.2},
        verb={"traveling": 0.4, "sitting": 0.2, "": 0.4},
    ),
    "locomotive": Kind(
        {"locomotive": 0.5, "steam locomotive": 0.5},
        {"tracks": 0.7, "snow": 0.15, "mountain": 0.15},
        verb={"traveling": 0.4, "sitting": 0.2, "": 0.4},
    ),
    "pizza": Kind({"pizza": 0.6, "whole pizza": 0.4}, _CLOSE, sized=True),
    "slice of pizza": Kind({"slice of pizza": 0.7, "piece of pizza": 0.3}, _CLOSE),
    "cake": Kind({"cake": 1.0}, _CLOSE, {"": 0.5, "chocolate": 0.3, "pink": 0.2}, sized=True),
    "piece of cake": Kind({"piece of cake": 0.5, "slice of cake": 0.5}, _CLOSE),
    "sandwich": Kind({"sandwich": 1.0}, _CLOSE, sized=True),
    "donut": Kind({"donut": 1.0}, _CLOSE, {"": 0.4, "chocolate": 0.3, "pink": 0.3}),
    "plate of food": Kind({"plate of food": 0.6, "meal on a plate": 0.2, "dish of food": 0.2}, _CLOSE),
    "surfboard": Kind({"surfboard": 1.0}, {"beach": 0.7, "water": 0.3}, BRIGHT),
    "soccer ball": Kind({"soccer ball": 1.0}, {"field": 0.5, "street": 0.2, "plain": 0.3}),
    "tennis ball": Kind({"tennis ball": 1.0}, {"field": 0.4, "street": 0.2, "plain": 0.4}),
    "baseball": Kind({"baseball": 1.0}, {"field": 0.5, "plain": 0.5}),
    "football": Kind({"football": 1.0}, {"field": 0.6, "beach": 0.1, "plain": 0.3}),
    "couch": Kind({"couch": 0.8, "sofa": 0.2}, {"living room": 0.8, "plain": 0.2}, {**PAINTS, "": 0.1}, sized=True),
    "chair": Kind({"chair": 1.0}, {"living room": 0.4, "kitchen": 0.2, "plain": 0.3, "snow": 0.1}, PAINTS, sized=True),
    "table": Kind(
        {"table": 1.0},
        {"living room": 0.4, "kitchen": 0.6},
        {"": 0.6, "white": 0.25, "red": 0.15},
        sized=True,
    ),
    "desk": Kind({"desk": 1.0}, {"living room": 1.0}, {"": 0.7, "white": 0.3}, sized=True),
    "bench": Kind(
        {"bench": 1.0},
        {"park": 0.25, "street": 0.2, "snow": 0.25, "field": 0.2, "beach": 0.1},
        {"": 0.5, "green": 0.2, "red": 0.15, "blue": 0.15},
    ),
    "bed": Kind(
        {"bed": 1.0},
        {"living room": 0.6, "plain": 0.4},
        {"": 0.2, "red": 0.2, "white": 0.3, "green": 0.15, "pink": 0.15},
    ),
    "tree": Kind(
        {"tree": 1.0},
        {"field": 0.4, "snow": 0.2, "beach": 0.1, "street": 0.15, "mountain": 0.15},
        sized=True,
        verb={"standing": 0.3, "": 0.7},
    ),
    "palm tree": Kind({"palm tree": 1.0}, {"beach": 0.7, "desert": 0.3}, sized=True, verb={"standing": 0.3, "": 0.7}),
    "stop sign": Kind(
        {"stop sign": 0.6, "red stop sign": 0.4},
        {"street": 0.75, "snow": 0.12, "field": 0.13},
        verb={"standing": 0.3, "": 0.7},
    ),
    "traffic light": Kind({"traffic light": 0.7, "stop light": 0.3}, {"street": 0.9, "snow": 0.1}),
    "house": Kind(
        {"house": 1.0},
        {"field": 0.35, "beach": 0.2, "mountain": 0.2, "snow": 0.1, "street": 0.15},
        sized=True,
    ),
    "umbrella": Kind({"umbrella": 1.0}, {"beach": 0.7, "plain": 0.3}, BRIGHT),
    "kite": Kind({"kite": 1.0}, {"blue sky": 0.7, "cloudy sky": 0.3}, BRIGHT, sized=True, flies=True),
    "clock": Kind(
        {"clock": 1.0},
        {"plain": 0.4, "living room": 0.3, "street": 0.3},
        {"": 0.5, "red": 0.25, "blue": 0.25},
    ),
    "toilet": Kind({"toilet": 1.0}, {"bathroom": 1.0}),
    "laptop": Kind({"laptop": 0.6, "laptop computer": 0.4}, {"plain": 1.0}),
    "cell phone": Kind({"cell phone": 1.0}, {"plain": 1.0}),
    "frisbee": Kind({"frisbee": 1.0}, {"field": 1.0}, BRIGHT),
    "balloon": Kind({"balloon": 1.0}, {"plain": 1.0}, BRIGHT),
    "cup of coffee": Kind({"cup of coffee": 1.0}, {"plain": 1.0}),
    "potted plant": Kind({"potted plant": 1.0}, {"plain": 1.0}),
    "glass of wine": Kind({"glass of wine": 1.0}, {"plain": 1.0}),
    "racket": Kind({"tennis racket": 1.0}, {"park": 1.0}),
    "skateboard": Kind({"skateboard": 1.0}, {"street": 1.0}),
    "snowboard": Kind({"snowboard": 1.0}, {"snow": 1.0}, BRIGHT),
}

# --- which thing is alone in a scene, by category: long-tailed as in the COCO captions ---
CATEGORIES: Table = {
    "person": 0.31, "outdoor": 0.13, "food": 0.10, "furniture": 0.08, "vehicle": 0.09, "train": 0.05,
    "cat": 0.05, "dog": 0.045, "giraffe": 0.03, "elephant": 0.03, "zebra": 0.03, "airplane": 0.03,
    "bear": 0.03, "sports": 0.035, "bird": 0.025, "boat": 0.02, "horse": 0.02, "cow": 0.02, "sheep": 0.015,
    "surfboard": 0.01, "other": 0.05,
}  # fmt: skip
PERSONS: Table = {"man": 0.4, "woman": 0.28, "boy": 0.12, "girl": 0.1, "old man": 0.05, "old woman": 0.05}
CATEGORY_KINDS: dict[str, Table] = {
    **{animal: {animal: 1.0} for animal in ("dog", "cat", "bird", "horse", "sheep", "cow")},
    **{animal: {animal: 1.0} for animal in ("elephant", "giraffe", "zebra")},
    "person": {**PERSONS, "people": 0.2},
    "bear": {"bear": 0.65, "teddy bear": 0.35},
    "vehicle": {"car": 0.3, "bus": 0.2, "truck": 0.18, "motorcycle": 0.14, "bicycle": 0.12, "van": 0.06},
    "food": {
        "pizza": 0.3, "plate of food": 0.2, "sandwich": 0.15, "cake": 0.12, "donut": 0.1,
        "slice of pizza": 0.07, "piece of cake": 0.06,
    },
    "airplane": {"airplane": 1.0},
    "boat": {"boat": 0.75, "ship": 0.25},
    "train": {"train": 0.75, "locomotive": 0.25},
    "surfboard": {"surfboard": 1.0},
    "sports": {"soccer ball": 0.3, "tennis ball": 0.3, "baseball": 0.25, "football": 0.15},
    "furniture": {"couch": 0.25, "chair": 0.2, "bed": 0.2, "bench": 0.15, "table": 0.15, "desk": 0.05},
    "outdoor": {"stop sign": 0.3, "tree": 0.25, "traffic light": 0.2, "house": 0.15, "palm tree": 0.1},
    "other": {"clock": 0.25, "toilet": 0.25, "umbrella": 0.2, "kite": 0.3},
}  # fmt: skip

# --- how things stand to each other ---
FRAMES: Table = {
    "alone": 0.5, "hold": 0.12, "ride": 0.09, "sit": 0.08, "beside": 0.08, "on": 0.05, "pair": 0.03,
    "three": 0.03, "above": 0.02,
}  # fmt: skip
PLAIN_KINDS: Table = {kind: 1.0 for kind in ("car", "bird", "chair", "couch", "boat", "bicycle")}
PLAIN_COLOURS: Table = {colour: 1.0 for colour in ("red", "green", "blue", "yellow", "black", "white")}

PAIR_POSES: Table = {"standing": 0.6, "walking": 0.4}
PARTNERS: dict[str, Table] = {  # only later in this order than the first, so that each pair is drawn one way round
    "man": {"woman": 0.35, "boy": 0.2, "girl": 0.15, "dog": 0.3},
    "woman": {"boy": 0.25, "girl": 0.3, "dog": 0.45},
    "boy": {"girl": 0.5, "dog": 0.5},
    "girl": {"dog": 1.0},
    "old man": {"old woman": 0.6, "dog": 0.4},
    "old woman": {"dog": 1.0},
}


@dataclass(frozen=True)
class Activity:
    """What a person does with a prop. ``objects`` may name it as ``{prop}`` or leave it to the activity's
    own words."""

    prop: str
    verbs: Table
    places: Table
    objects: Table = field(default_factory=lambda: {"{prop}": 1.0})


_EATING = {"eating": 0.6, "holding": 0.4}
_INSIDE = {"living room": 0.4, "kitchen": 0.4, "park": 0.2}
_LAWN = {"field": 0.4, "park": 0.4, "beach": 0.2}
ACTIVITIES_OF: dict[str, Activity] = {
    "umbrella": Activity(
        "umbrella", {"holding": 0.8, "carrying": 0.2}, {"street": 0.5, "beach": 0.2, "snow": 0.2, "park": 0.1}
    ),
    "kite": Activity("kite", {"flying": 1.0}, {"beach": 0.4, "field": 0.4, "park": 0.2}),
    "frisbee": Activity("frisbee", {"throwing": 0.4, "catching": 0.3, "holding": 0.3}, _LAWN),
    "soccer": Activity("soccer ball", {"playing": 1.0}, _LAWN, {"soccer": 0.7, "with {prop}": 0.3}),
    "tennis": Activity(
        "racket", {"playing": 1.0}, {"park": 0.5, "street": 0.5}, {"tennis": 0.8, "a game of tennis": 0.2}
    ),
    "baseball": Activity("baseball", {"throwing": 0.7, "holding": 0.3}, _LAWN),
    "phone": Activity("cell phone", {"holding": 0.6, "using": 0.4}, {"street": 0.4, "living room": 0.3, "park": 0.3}),
    "pizza": Activity("slice of pizza", _EATING, _INSIDE),
    "cake": Activity("piece of cake", _EATING, _INSIDE),
    "donut": Activity("donut", _EATING, _INSIDE),
    "wine": Activity("glass of wine", {"holding": 1.0}, _INSIDE),
    "balloon": Activity("balloon", {"holding": 1.0}, {"park": 0.4, "street": 0.3, "living room": 0.3}),
    "teddy bear": Activity("teddy bear", {"holding": 0.7, "carrying": 0.3}, {"living room": 0.7, "street": 0.3}),
    "surfboard": Activity("surfboard", {"holding": 0.5, "carrying": 0.5}, {"beach": 1.0}),
    "skateboard": Activity("skateboard", {"holding": 0.5, "carrying": 0.5}, {"street": 0.7, "park": 0.3}),
}
ACTIVITIES: Table = {
    "umbrella": 0.14, "kite": 0.12, "frisbee": 0.1, "soccer": 0.09, "tennis": 0.12, "baseball": 0.09,
    "phone": 0.1, "pizza": 0.06, "cake": 0.03, "donut": 0.02, "wine": 0.04, "balloon": 0.03,
    "teddy bear": 0.02, "surfboard": 0.04, "skateboard": 0.02,
}  # fmt: skip

MOUNTS: Table = {
    "horse": 0.18, "bicycle": 0.14, "motorcycle": 0.18, "surfboard": 0.16, "skateboard": 0.2,
    "snowboard": 0.1, "elephant": 0.04,
}  # fmt: skip
MOUNT_PLACES: dict[str, Table] = {
    "horse": {"field": 0.45, "beach": 0.3, "street": 0.15, "snow": 0.1},
    "bicycle": {"street": 0.7, "park": 0.2, "beach": 0.1},
    "motorcycle": {"street": 0.8, "desert": 0.2},
    "surfboard": {"water": 1.0},
    "skateboard": {"street": 0.7, "park": 0.3},
    "snowboard": {"snow": 1.0},
    "elephant": {"field": 0.5, "water": 0.2, "desert": 0.3},
}
RIDE_VERBS: Table = {"riding": 1.0}

SITTERS: Table = {
    "man": 0.25,
    "woman": 0.22,
    "boy": 0.08,
    "girl": 0.08,
    "old man": 0.05,
    "old woman": 0.04,
    "cat": 0.16,
    "dog": 0.12,
}
SEATS: Table = {"couch": 0.3, "bench": 0.35, "bed": 0.2, "chair": 0.15}
SEAT_PLACES: dict[str, Table] = {
    "couch": {"living room": 1.0},
    "bed": {"living room": 0.5, "plain": 0.5},
    "chair": {"living room": 0.6, "kitchen": 0.4},
    "bench": {"park": 0.5, "street": 0.25, "beach": 0.15, "snow": 0.1},
}
SIT_VERBS: Table = {"sitting": 1.0}

SUPPORTED: Table = {
    "laptop": 0.25, "pizza": 0.17, "plate of food": 0.13, "cake": 0.12, "sandwich": 0.08,
    "cup of coffee": 0.1, "potted plant": 0.1, "teddy bear": 0.05,
}  # fmt: skip
SUPPORTS: Table = {"table": 0.7, "desk": 0.3}
SUPPORT_PLACES: Table = {"living room": 0.3, "kitchen": 0.3, "plain": 0.4}
ON_VERBS: Table = {"sitting": 0.6, "": 0.4}
ON_WORDS: Table = {"on": 0.8, "on top of": 0.2}

FLYERS: Table = {"airplane": 0.5, "bird": 0.3, "kite": 0.2}
FLOWN_OVER: Table = {place: 1.0 for place in OVER}
FLY_VERBS: Table = {"flying": 0.85, "": 0.15}
OVER_WORDS: Table = {"over": 0.6, "above": 0.4}

BESIDE: Table = {"man": 0.32, "woman": 0.25, "boy": 0.12, "girl": 0.11, "dog": 0.2}
RELATIONS: Table = {"next to": 0.5, "in front of": 0.35, "behind": 0.15}
RELATION_WORDS: dict[str, Table] = {
    "next to": {"next to": 0.7, "beside": 0.3},
    "in front of": {"in front of": 1.0},
    "behind": {"behind": 1.0},
}
LANDMARKS: Table = {
    "car": 0.17, "bus": 0.11, "truck": 0.1, "train": 0.08, "motorcycle": 0.1, "bicycle": 0.08, "horse": 0.1,
    "tree": 0.08, "elephant": 0.05, "bench": 0.04, "house": 0.03, "stop sign": 0.03, "cow": 0.03,
}  # fmt: skip
LANDMARK_PLACES: dict[str, Table] = {
    **{kind: _STREET for kind in ("car", "bus", "truck", "motorcycle")},
    "bicycle": {"street": 0.6, "park": 0.2, "beach": 0.2},
    "train": {"tracks": 0.8, "snow": 0.2},
    "horse": _FARM,
    "cow": _FARM,
    "tree": {"field": 0.5, "snow": 0.3, "street": 0.2},
    "elephant": _WILD,
    "bench": {"park": 0.5, "street": 0.3, "beach": 0.2},
    "house": {"field": 0.4, "street": 0.4, "snow": 0.2},
    "stop sign": {"street": 0.8, "snow": 0.2},
}

# --- sentences ---
STYLES: Table = {
    "is": 0.34,
    "bare": 0.36,
    "present": 0.12,
    "there": 0.1,
    "picture": 0.04,
    "photo": 0.04,
    "close up": 0.3,
}
PRESENT: dict[str, tuple[str, str]] = {  # third person singular, plural
    "standing": ("stands", "stand"),
    "walking": ("walks", "walk"),
    "running": ("runs", "run"),
    "sitting": ("sits", "sit"),
    "riding": ("rides", "ride"),
    "holding": ("holds", "hold"),
    "carrying": ("carries", "carry"),
    "throwing": ("throws", "throw"),
    "catching": ("catches", "catch"),
    "playing": ("plays", "play"),
    "eating": ("eats", "eat"),
    "using": ("uses", "use"),
    "flying": ("flies", "fly"),
    "floating": ("floats", "float"),
    "sailing": ("sails", "sail"),
    "traveling": ("travels", "travel"),
    "driving": ("drives", "drive"),
}
