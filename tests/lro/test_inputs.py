"""A field that no operation has is refused at its place: a misspelled option would silently do nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from lro.runtime.inputs import refuse_unknown


class Option(serializers.Serializer[Any]):
    spot = serializers.FloatField()
    volatility = serializers.FloatField()


class Input(serializers.Serializer[Any]):
    option = Option()
    steps = Option(many=True, required=False)
    labels = serializers.DictField(required=False)
    fail_on = serializers.CharField(required=False)


def refused(data: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        refuse_unknown(Input(data=data), data)
    return json.loads(json.dumps(caught.value.detail))


def test_the_field_that_was_meant_is_named() -> None:
    assert refused({"fial_on": "error"}) == {"fial_on": ["There is no field 'fial_on' here; did you mean 'fail_on'?"]}
    assert refused({"zzz": 1}) == {"zzz": ["There is no field 'zzz' here."]}


def test_the_fields_of_a_field_are_looked_at_too() -> None:
    message = "There is no field 'volatilty' here; did you mean 'volatility'?"
    assert refused({"option": {"spot": 1, "volatilty": 3}}) == {"option": {"volatilty": [message]}}
    assert refused({"steps": [{"spot": 1}, {"volatilty": 3}]}) == {"steps": {"1": {"volatilty": [message]}}}


@pytest.mark.parametrize(
    "data",
    [
        {"option": {"spot": 1}, "steps": [{"spot": 1}], "labels": {"any": "name"}, "fail_on": "error"},
        {"option": "no object", "steps": "no list", "labels": None},
        QueryDict("option.spot=1&csrfmiddlewaretoken=x&name=table.csv"),
        ["no object"],
        None,
    ],
)
def test_what_is_there_or_has_names_of_its_own_is_left_to_the_serializer(data: Any) -> None:
    refuse_unknown(Input(data=data), data)
