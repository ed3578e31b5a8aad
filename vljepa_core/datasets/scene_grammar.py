"""What a scene is, how likely it is, and what its captions say.

A scene is written by a small probabilistic program: ``draw_scene`` makes a handful of categorical choices
(the *facts*), ``say`` makes more choices (the *wording*) and returns a caption. Both get their choices from
a ``choose`` function, so one program can be sampled (``Sampler``) or enumerated exhaustively (``outcomes``),
and every probability is exact.

Two rules make the information content of a caption known:

1. every caption of a scene says all of its facts. A default is said by silence: "a dog" is a brown dog, a
   person whose shirt is not mentioned wears a grey one, a thing of unmentioned size is of middle size;
2. no caption can be said of two different scenes. Where an order would be arbitrary ("a man and a woman"),
   only one is drawn.

Hence P(caption) = P(facts) P(caption | facts), and what a caption needs from its image is -log2 P(facts):
the *content bits*; the rest, H(caption | facts), is ``paraphrase_bits`` and no model can remove it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from vljepa_core.datasets import scene_words as words

T = TypeVar("T", bound=Hashable)
Choose = Callable[[Mapping[T, float]], T]


@dataclass(frozen=True)
class Thing:
    """One object, or several of one kind: ``count`` is 1, 2, 3 or 5 ("a group of"); "" is the default, said
    by silence."""

    kind: str
    count: int = 1
    colour: str = ""
    size: str = ""
    pose: str = ""


@dataclass(frozen=True)
class Scene:
    """The facts of one scene. ``frame`` says how the things stand to each other (a key of
    ``words.FRAMES``)."""

    frame: str
    things: tuple[Thing, ...]
    relation: str
    place: str
    level: int


@dataclass(frozen=True)
class Level:
    """One setting of the difficulty dial. ``tail`` is the exponent on the weights of kinds: 1 long-tailed, 0
    uniform."""

    frames: Mapping[str, float]
    tail: float
    places: bool
    attributes: bool
    wording: bool


COCO_LIKE = 3
_RELATIONAL = {frame: weight for frame, weight in words.FRAMES.items() if frame != "alone"}
LEVELS = (
    Level(
        {"plain": 1.0}, tail=0.0, places=False, attributes=False, wording=False
    ),  # one thing, 6 colours, one template
    Level({"alone": 1.0}, tail=1.0, places=True, attributes=False, wording=True),  # any kind, in a place, paraphrased
    Level({"alone": 1.0}, tail=1.0, places=True, attributes=True, wording=True),  # + counts, sizes, poses
    Level(words.FRAMES, tail=1.0, places=True, attributes=True, wording=True),  # COCO-like: + relations, 1-3 things
    Level(_RELATIONAL, tail=0.3, places=True, attributes=True, wording=True),  # always 2-3 things, a nearly flat tail
)


# --- choices: sampled or enumerated ---


class Sampler:
    """``choose`` from a random stream, remembering how improbable the choices were.

    ``random.Random(str)`` and its ``random()`` are guaranteed by Python to stay the same across versions and
    machines.
    """

    def __init__(self, key: str) -> None:
        self._random = random.Random(key)
        self.bits = 0.0

    def __call__(self, table: Mapping[T, float]) -> T:
        total = sum(table.values())
        rest = self._random.random() * total
        chosen = next(iter(table))
        for value, weight in table.items():
            chosen = value
            rest -= weight
            if rest < 0:
                break
        self.bits -= math.log2(table[chosen] / total)
        return chosen


class _Path:
    """``choose`` that takes the branches in ``prefix``, then always the first, noting what it passes."""

    def __init__(self, prefix: tuple[int, ...]) -> None:
        self.prefix = prefix
        self.taken: list[int] = []
        self.widths: list[int] = []
        self.probability = 1.0

    def __call__(self, table: Mapping[T, float]) -> T:
        step = len(self.taken)
        at = self.prefix[step] if step < len(self.prefix) else 0
        value = list(table)[at]
        self.taken.append(at)
        self.widths.append(len(table))
        self.probability *= table[value] / sum(table.values())
        return value


def outcomes(program: Callable[[Choose], T]) -> Iterator[tuple[T, float]]:
    """Every path through ``program``: (result, probability). Probabilities sum to 1; results may repeat."""
    open_paths: list[tuple[int, ...]] = [()]
    while open_paths:
        path = _Path(open_paths.pop())
        result = program(path)
        yield result, path.probability
        # Every other branch beyond the given prefix, each exactly once.
        for step in range(len(path.prefix), len(path.taken)):
            open_paths.extend((*path.taken[:step], other) for other in range(1, path.widths[step]))


# --- facts ---


def check_level(level: int) -> int:
    """The level itself. Raises ValueError unless it is one of 0..4."""
    if isinstance(level, bool) or level not in range(len(LEVELS)):
        raise ValueError(f"difficulty is {level!r}; it must be one of 0..{len(LEVELS) - 1} ({COCO_LIKE} is COCO-like)")
    return int(level)


def draw_scene(choose: Choose, level: int = COCO_LIKE) -> Scene:
    """One scene, from explicit choices: a frame, then its things, each with its attributes, then the
    place."""
    dial = LEVELS[check_level(level)]

    def pick(table: Mapping[str, float]) -> str:
        return choose({value: weight**dial.tail for value, weight in table.items()})

    def thing(kind: str, *, pose: str = "", one: bool = True, sized: bool = True) -> Thing:
        entry = words.KINDS[kind]
        colour = choose(entry.colours) if entry.colours else ""
        size = choose(words.SIZES) if dial.attributes and entry.sized and sized else ""
        countable = entry.plural and (dial.attributes or not entry.names)  # "people" have no singular
        count = choose(entry.counts) if countable and not one else 1
        if dial.attributes and not pose and entry.poses:
            pose = choose(entry.poses)
        return Thing(kind, count, colour, size, pose)

    frame = choose(dial.frames)
    relation = ""
    if frame == "plain":
        kind = choose(words.PLAIN_KINDS)
        return Scene(frame, (Thing(kind, colour=choose(words.PLAIN_COLOURS)),), "", "plain", level)
    if frame == "alone":
        kind = choose(words.CATEGORY_KINDS[pick(words.CATEGORIES)])
        things = (thing(kind, one=False),)
        places = words.KINDS[kind].places
    elif frame == "pair":  # two people, or a person and a dog
        first = pick(words.PERSONS)
        pose = choose(words.PAIR_POSES)
        things = (thing(first, pose=pose), thing(pick(words.PARTNERS[first]), pose=pose))
        places = words.KINDS[first].places
    elif frame == "hold":
        activity = pick(words.ACTIVITIES)
        relation = activity
        things = (thing(pick(words.PERSONS), pose="holding"), thing(words.ACTIVITIES_OF[activity].prop))
        places = words.ACTIVITIES_OF[activity].places
    elif frame == "ride":
        mount = pick(words.MOUNTS)
        things = (thing(pick(words.PERSONS), pose="riding"), thing(mount))
        places = words.MOUNT_PLACES[mount]
    elif frame == "sit":
        seat = pick(words.SEATS)
        things = (thing(pick(words.SITTERS), pose="sitting"), thing(seat))
        places = words.SEAT_PLACES[seat]
    elif frame == "on":
        support = pick(words.SUPPORTS)
        things = (thing(pick(words.SUPPORTED)), thing(support))
        places = words.SUPPORT_PLACES
    elif frame == "above":
        things = (thing(pick(words.FLYERS), pose="flying", one=False),)
        places = words.FLOWN_OVER
    else:  # "beside", "three"
        landmark = pick(words.LANDMARKS)
        relation = choose(words.RELATIONS)
        if frame == "beside":
            things = (thing(pick(words.BESIDE), pose="standing"), thing(landmark))
        else:
            first = pick(words.PERSONS)
            second = pick(words.PARTNERS[first])
            # Nothing is said of their shirts or of sizes: the longest caption must stay below 127 bytes.
            partner = thing(second, pose="standing", sized=False) if second == "dog" else Thing(second, pose="standing")
            things = (Thing(first, pose="standing"), partner, thing(landmark, sized=False))
        places = words.LANDMARK_PLACES[landmark]
    place = choose(places) if dial.places else "plain"
    return Scene(frame, things, relation, place, level)


def sample_scene(key: str, level: int = COCO_LIKE) -> tuple[Scene, float]:
    """(scene, content_bits) drawn from the stream ``key``. Each choice is a field of the scene, so no two
    paths give the same scene and the bits of the path, ``-log2 P(facts)``, are exact: they are what any
    caption takes from the image."""
    sampler = Sampler(key)
    scene = draw_scene(sampler, level)
    return scene, sampler.bits


# --- wording ---


def say(choose: Choose, scene: Scene) -> str:
    """One caption that says every fact of ``scene``: ASCII, one sentence, capital and full stop."""
    if not LEVELS[scene.level].wording:
        return _sentence(f"a {scene.things[0].colour} {scene.things[0].kind}")
    place = choose((words.OVER if scene.frame == "above" else words.PLACES)[scene.place])
    main = scene.things[0]
    subject = _noun_phrase(choose, main)
    plural = main.count > 1
    if scene.frame in ("pair", "three"):
        subject = f"{subject} and {_noun_phrase(choose, scene.things[1])}"
        plural = True

    if scene.frame in ("alone", "pair", "three", "beside"):
        verb = choose(words.POSE_VERBS[main.pose] if main.pose else words.KINDS[main.kind].verbs(scene.place))
        rest = ""
        if scene.relation:
            rest = f" {choose(words.RELATION_WORDS[scene.relation])} {_noun_phrase(choose, scene.things[-1])}"
    elif scene.frame == "hold":
        verb, rest = choose(words.ACTIVITIES_OF[scene.relation].verbs), ""
        prop = _noun_phrase(choose, scene.things[1])
        rest = " " + choose(words.ACTIVITIES_OF[scene.relation].objects).format(prop=prop)
    elif scene.frame == "ride":
        verb = choose(words.RIDE_VERBS)
        rest = f" {_noun_phrase(choose, scene.things[1])}"
    elif scene.frame in ("sit", "on"):
        verb = choose(words.SIT_VERBS if scene.frame == "sit" else words.ON_VERBS)
        rest = f" {choose(words.ON_WORDS)} {_noun_phrase(choose, scene.things[1])}"
    else:  # "above"
        verb = choose(words.FLY_VERBS)
        rest = f" {choose(words.OVER_WORDS)}"

    where = f" {place}" if place else ""
    is_, there = ("are", "there are") if plural else ("is", "there is")
    styles = dict(words.STYLES)
    if not verb or verb not in words.PRESENT:
        del styles["present"]
    if verb or rest or where:
        del styles["close up"]
    else:  # a noun phrase alone cannot take "is"
        del styles["is"]
    style = choose(styles)
    acting = f" {verb}" if verb else ""
    if style == "present":
        acting = " " + words.PRESENT[verb][plural]
    elif style == "is":
        acting = f" {is_}{acting}"
    lead = {
        "there": f"{there} ",
        "picture": "a picture of ",
        "photo": "a photo of ",
        "close up": "a close up of ",
    }.get(style, "")
    return _sentence(f"{lead}{subject}{acting}{rest}{where}")


def paraphrase_bits(scene: Scene) -> float:
    """H(caption | facts) in bits: exact, by enumeration of the wording; paths to the same string are one
    caption."""
    chances: dict[str, float] = {}
    for caption, probability in outcomes(lambda choose: say(choose, scene)):
        chances[caption] = chances.get(caption, 0.0) + probability
    return -sum(chance * math.log2(chance) for chance in chances.values()) + 0.0


def _noun_phrase(choose: Choose, thing: Thing) -> str:
    """ "a small black dog", "two zebras", "a woman in a red shirt"."""
    entry = words.KINDS[thing.kind]
    adjectives = []
    if thing.size:
        adjectives.append(choose(words.SIZE_WORDS[thing.size]))
    person = thing.kind in words.PERSONS
    if thing.colour and not person:
        adjectives.append(thing.colour)
    if thing.count > 1:
        counts = entry.count_words.get(thing.count) or words.COUNT_WORDS[thing.count]
        phrase = " ".join([choose(counts), *adjectives, entry.plural])
    else:
        noun = choose(entry.names)
        phrase = _with_article(" ".join([*adjectives, noun]))
    if thing.colour and person:
        phrase += " " + choose(words.SHIRT_WORDS).format(colour=thing.colour)
    return phrase


def _with_article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
