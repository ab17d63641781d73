"""The service's answers, and the description of its requests in OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from aslspark.scoring.answers import Answer
from aslspark.serving.model_holder import Served
from aslspark.serving.payload import CSV, FORM, JSON, RAW

_MODEL = "the bundle's name, and the beginning of its digest"
MODEL = "model"
"""The parameter of a request's address that names one of several models."""
MODEL_PARAMETER = {
    "name": MODEL,
    "in": "query",
    "schema": {"type": "string"},
    "description": "of several models, one's name: that of its folder or link; without it, the first",
}


class Guess(BaseModel):
    """A letter and its probability."""

    letter: str = Field(description="one of the model's labels")
    probability: float = Field(ge=0, le=1, description="0-1; those of all letters sum to 1")


class SeenHand(BaseModel):
    """The hand that was found in a picture."""

    side: str = Field(description="'left' or 'right': whose hand it is if the picture is not mirrored")
    points: list[list[float]] = Field(
        description="x and y of 21 points (wrist, then four of each finger) as shares of the picture's longer side"
    )


class Reading(BaseModel):
    """The answer to one picture."""

    name: str | None = Field(description="the file's, where the request named it")
    letter: str | None = Field(description="null where there is a reason")
    probability: float | None = Field(description="of the best guess")
    top: list[Guess] = Field(description="the best three, best first")
    reason: str | None = Field(description="why there is no letter: 'not sure', 'no hand found', or what is wrong")
    hand: SeenHand | None = Field(description="null where none was found, and of models that look for none")


class Readings(BaseModel):
    """The answers to a request, in the order of its pictures."""

    model: str = Field(description=_MODEL)
    answers: list[Reading] = Field(description="one for each picture")


class Refusal(BaseModel):
    """Why a request was not served."""

    reason: str = Field(description="a sentence for people; programs go by the status")


NOT_SERVED: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "a model is asked for that is not served"}
}


class Watcher(BaseModel):
    """The state of the watcher that looks for another bundle."""

    state: str = Field(description="'watching'; 'retrying': the path leads to what cannot be read; 'stalled'")
    failures: int = Field(description="tries that failed so far; the log says why")
    seconds: float = Field(description="since the last look")


class Health(BaseModel):
    """The state of the service."""

    status: str = Field(description="'ok'")
    model: str = Field(description=_MODEL)
    waiting: int = Field(description="pictures that wait or are being read")
    watcher: Watcher


class Readiness(BaseModel):
    """Whether pictures are read now."""

    ready: bool = Field(description="true: where it would be false, the status is 503")
    model: str = Field(description=_MODEL)


class ModelFacts(BaseModel):
    """The model that is served."""

    model: str = Field(description=_MODEL)
    digest: str = Field(description="SHA-256 of the bundle, in full")
    labels: list[str] = Field(description="the letters that it reads, in the order of its network's outputs")
    shape: list[int] = Field(description="height, width and channels of the pictures that the network takes")
    inputs: list[str] = Field(description="what the network takes: 'picture', 'landmarks', or both")
    finds_hands: bool = Field(description="whether a hand is looked for in each picture first")
    threshold: float = Field(description="below which probability the letter is null, and the reason 'not sure'")
    temperature: float = Field(description="what the network's logits are divided by")
    switches: int = Field(description="exchanges of the model since the service was started")
    models: list[str] = Field(description="the names of all that are served, of which ?model=NAME asks for one")


class Switched(BaseModel):
    """The result of a look for another bundle."""

    switched: bool = Field(description="whether another bundle is served now")
    model: str = Field(description=_MODEL)


def reading_of(answer: Answer, name: str | None = None) -> Reading:
    """Return the answer to one picture as it is sent."""
    return Reading.model_validate({"name": name, **answer.as_dict()})


def readings_of(served: Served, answers: Sequence[Answer], names: Sequence[str | None]) -> Readings:
    """Return the answers to a request as they are sent."""
    pairs = zip(answers, names, strict=True)
    return Readings(model=served.name, answers=[reading_of(answer, name) for answer, name in pairs])


# A grey PNG of 2x2 pixels, so that the example can be sent as it is.
_EXAMPLE = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGNgSGBY8B8AA8UCAKEFgZcAAAAASUVORK5CYII="

_PART = {"type": "string", "format": "binary"}
_FILE = {"type": "string", "format": "binary", "minLength": 1}
PREDICT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "required": ["pictures"],
                "additionalProperties": False,
                "properties": {"pictures": {"type": "array", "items": _PART, "minItems": 1}},
            },
            "encoding": {"pictures": {"contentType": "image/jpeg, image/png"}},
        },
        "image/jpeg": {"schema": _FILE},
        "image/png": {"schema": _FILE},
        RAW: {"schema": _FILE},
        JSON: {
            "schema": {
                "type": "object",
                "required": ["pictures"],
                "additionalProperties": False,
                "properties": {
                    "pictures": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "anyOf": [
                                {"type": "string", "contentEncoding": "base64", "minLength": 4},
                                {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {"type": "number", "minimum": 0, "maximum": 255},
                                },
                            ]
                        },
                    }
                },
            },
            "examples": {"base64": {"summary": "a picture file, in base64", "value": {"pictures": [_EXAMPLE]}}},
        },
        CSV: {
            "schema": {"type": "string", "minLength": 1},
            "examples": {"rows": {"summary": "a picture's pixels a line, row by row", "value": "0,17,255,96\n"}},
        },
    },
}
"""For OpenAPI alone: `payload` parses requests and gives its own reasons."""
