"""Four small generated tasks, for machines with neither the hub nor a GLUE folder. They say nothing about language.

Sentences are drawn from templates over common English words. They come in pairs, one of each class, that differ as
little as the task allows:

- toy-sentiment: one opinion, plain, negated, or a contrast of which the last part counts. A bag of words gets the
  plain ones.
- toy-acceptability: a sentence and the SAME words in an order that breaks agreement, reflexives or phrase structure.
  A bag of words is at chance by construction.
- toy-entailment: a premise with a hypothesis that follows from it, and one that does not: who did what to whom is
  turned round, or someone else did it.
- toy-span: three facts about six people, and two questions on one of them, answered by the one and by the other person
  in it. Which sentence of the context it is, and whether it is active or passive, is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

N_TRAIN, N_DEVELOPMENT = 2000, 400

# Which field of toy-span is the context.
_CONTEXT = 1

# One text per field of the task.
Texts = tuple[str, ...]
Pair = Mapping[str, Texts]

_POSITIVE = (
    *("great", "wonderful", "excellent", "beautiful", "brilliant", "delightful", "charming", "perfect", "fantastic"),
    *("lovely", "amazing", "impressive", "funny", "fresh", "clever", "superb"),
)
_NEGATIVE = (
    *("terrible", "awful", "horrible", "boring", "ugly", "stupid", "disappointing", "dull", "poor"),
    *("weak", "annoying", "ridiculous", "painful", "miserable", "pathetic", "bad"),
)
_THINGS = (
    *("film", "story", "book", "music", "plot", "acting", "script", "food", "service", "room", "hotel", "show"),
    *("song", "album", "novel", "ending", "dialogue", "cast", "concert", "game"),
)
_DEGREES = ("", "really", "very", "truly", "so")
_OPENINGS = ("", "in the end", "for me", "this time", "as a whole", "to be honest")

_MEN = ("boy", "man", "king", "brother", "father", "uncle")
_WOMEN = ("girl", "woman", "queen", "sister", "mother", "aunt")
_OBJECTS = ("key", "book", "table", "car", "house", "letter", "chair", "lamp", "picture", "bottle", "door", "tree")
_ADJECTIVES = ("old", "new", "small", "large", "red", "green", "heavy", "cheap", "expensive", "strange")
_TRAITS = ("old", "young", "tall", "famous", "happy", "rich")
_PREPOSITIONS = ("near", "behind", "beside", "under", "above")
_REPORTS = ("said", "thought", "knew", "believed", "claimed")
_SELF_VERBS = ("hurt", "saw", "blamed", "praised", "helped")
_TAKEN = ("taken", "broken", "seen", "chosen", "forgotten", "hidden")

_PEOPLE = (
    *("teacher", "lawyer", "doctor", "farmer", "student", "soldier", "singer", "artist", "writer", "driver"),
    *("judge", "nurse", "actor", "guard", "captain", "priest"),
)
# Past tense = participle, and none is symmetric: that X thanked Y does not say that Y thanked X.
_DEEDS = ("thanked", "helped", "followed", "praised", "blamed", "pushed", "paid", "warned", "visited", "ignored")
_PLACES = ("", "in the park", "at the station", "after the meeting", "in the morning", "last week", "in the street")


def generate(task: str, seed: int = 0) -> tuple[list[tuple[str, Texts]], list[tuple[str, Texts]]]:
    """Training and development examples of a generated task.

    Parameters
    ----------
    task
        "toy-sentiment", "toy-acceptability", "toy-entailment" or "toy-span".
    seed
        Equal seeds give equal examples.

    Returns
    -------
    train, development : list of (class name, texts)
        `N_TRAIN` and `N_DEVELOPMENT` rows. The classes alternate, so every even number of first rows is balanced. No
        sentence (for pairs: no premise, for questions: no context) of the one is in the other. In place of a class
        toy-span has its answer.
    """
    rng = np.random.default_rng(seed)
    draw = _DRAWS[task]
    seen: set[str] = set()
    rows: list[tuple[str, Texts]] = []
    while len(rows) < N_TRAIN + N_DEVELOPMENT:
        pair = draw(rng)
        first_texts = {texts[_CONTEXT if task == "toy-span" else 0] for texts in pair.values()}
        if seen.isdisjoint(first_texts):
            seen |= first_texts
            rows.extend(pair.items())
    return rows[:N_TRAIN], rows[N_TRAIN:]


def _sentiment(rng: np.random.Generator) -> Pair:
    good, bad = _one(rng, _POSITIVE), _one(rng, _NEGATIVE)
    thing, other = _some(rng, _THINGS, 2)
    degree, opening = _one(rng, _DEGREES), _one(rng, _OPENINGS)
    kind = rng.random()
    if kind < 0.6:
        positive, negative = (f"{opening} the {thing} was {degree} {word}" for word in (good, bad))
    elif kind < 0.75:
        positive, negative = (f"{opening} the {thing} was not {degree} {word}" for word in (bad, good))
    else:
        positive, negative = (
            f"the {other} was {first} , but {opening} the {thing} was {degree} {last}"
            for first, last in ((bad, good), (good, bad))
        )
    return {"negative": (_sentence(negative),), "positive": (_sentence(positive),)}


def _acceptability(rng: np.random.Generator) -> Pair:
    kind = rng.random()
    adjective, other_adjective = _some(rng, _ADJECTIVES, 2)
    thing, other = _some(rng, _OBJECTS, 2)
    preposition = _one(rng, _PREPOSITIONS)
    if kind < 0.3:
        one, many, verb = thing, f"{other}s", _one(rng, ("was", "were"))
        subject, neighbour = (one, many) if verb == "was" else (many, one)
        right = f"the {adjective} {subject} {preposition} the {neighbour} {verb} {other_adjective}"
        wrong = f"the {adjective} {neighbour} {preposition} the {subject} {verb} {other_adjective}"
    elif kind < 0.5:
        speaker, actor, reflexive = _one(rng, _MEN), _one(rng, _WOMEN), "herself"
        if rng.random() < 0.5:
            speaker, actor, reflexive = actor, speaker, "himself"
        frame = (
            f"the {_one(rng, _TRAITS)} {{}} {_one(rng, _REPORTS)} that the {{}} {_one(rng, _SELF_VERBS)} {reflexive}"
        )
        right, wrong = frame.format(speaker, actor), frame.format(actor, speaker)
    elif kind < 0.7:
        frame = f"the {{}} {preposition} the {other} looked {other_adjective}"
        right, wrong = frame.format(f"{adjective} {thing}"), frame.format(f"{thing} {adjective}")
    elif kind < 0.85:
        person, verb = _one(rng, _MEN + _WOMEN), _one(rng, _TAKEN)
        frame = f"the {person} {{}} the {adjective} {thing}"
        right, wrong = frame.format(f"has {verb}"), frame.format(f"{verb} has")
    else:
        person = _one(rng, _MEN + _WOMEN)
        frame = f"the {_one(rng, _TRAITS)} {person} put the {thing} {{}} {other}"
        right, wrong = frame.format(f"{preposition} the"), frame.format(f"the {preposition}")
    return {"unacceptable": (_sentence(wrong),), "acceptable": (_sentence(right),)}


def _entailment(rng: np.random.Generator) -> Pair:
    a, b, c, d, stranger = _some(rng, _PEOPLE, 5)
    deed, other_deed = _some(rng, _DEEDS, 2)
    place = _one(rng, _PLACES)
    kind = rng.random()
    if kind < 0.5:
        fact = (a, deed, b)
        premise = f"{_clause(rng, fact)} {place}"
    elif kind < 0.75:
        premise = f"the {a} who {deed} the {b} {other_deed} the {c} {place}"
        fact = (a, deed, b) if rng.random() < 0.5 else (a, other_deed, c)
    else:
        facts = ((a, deed, b), (c, other_deed, d))
        premise = f"{_clause(rng, facts[0])} and {_clause(rng, facts[1])} {place}"
        fact = facts[int(rng.integers(2))]
    actor, did, patient = fact
    if rng.random() < 0.5:
        false_fact = (patient, did, actor)
    elif rng.random() < 0.5:
        false_fact = (stranger, did, patient)
    else:
        false_fact = (actor, did, stranger)
    return {
        label: (_sentence(premise), _sentence(_clause(rng, stated)))
        for label, stated in (("entailment", fact), ("not_entailment", false_fact))
    }


def _span(rng: np.random.Generator) -> Pair:
    people = _some(rng, _PEOPLE, 6)
    facts = list(zip(people[:3], _some(rng, _DEEDS, 3), people[3:], strict=True))
    context = " ".join(_sentence(f"{_clause(rng, fact)} {_one(rng, _PLACES)}") for fact in facts)
    actor, deed, patient = facts[int(rng.integers(3))]
    questions = {actor: f"Who {deed} the {patient} ?", patient: f"Who was {deed} by the {actor} ?"}
    return {answer: (question, context) for answer, question in questions.items()}


def start_of(answer: str, texts: Texts) -> int:
    """Character of the context of toy-span at which an answer begins; no name of a person is within another's."""
    return texts[_CONTEXT].index(f"he {answer}") + len("he ")


_DRAWS: Mapping[str, Callable[[np.random.Generator], Pair]] = {
    "toy-sentiment": _sentiment,
    "toy-acceptability": _acceptability,
    "toy-entailment": _entailment,
    "toy-span": _span,
}


def _clause(rng: np.random.Generator, fact: tuple[str, str, str]) -> str:
    """One who-did-what-to-whom, active or passive."""
    actor, deed, patient = fact
    return f"the {actor} {deed} the {patient}" if rng.random() < 0.5 else f"the {patient} was {deed} by the {actor}"


def _sentence(words: str) -> str:
    """Single blanks, a capital and a full stop."""
    return f"{' '.join(words.split()).capitalize()} ."


def _one(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _some(rng: np.random.Generator, words: tuple[str, ...], n: int) -> list[str]:
    """`n` different words."""
    return [words[i] for i in rng.choice(len(words), n, replace=False)]
