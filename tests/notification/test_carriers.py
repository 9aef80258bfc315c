"""A carrier is named in one list; what cannot read it has it too. What is missing is said with its place."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.notification.channels.carriers import CARRIERS
from services.notification.channels.port import Carrier
from services.notification.service import NotificationService
from services.notification.settings import ChannelSettings
from services.notification.templates import shortened
from services.notification.values import CHANNELS, Channel
from tests.charts.chart import CHART
from tests.notification.carrier_contract import CarrierContract

HERE = Path(__file__).parent
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
each = pytest.mark.parametrize("carrier", CARRIERS.values(), ids=lambda carrier: carrier.channel.name)


def test_every_channel_but_the_inbox_has_a_carrier() -> None:
    assert {*CARRIERS, Channel.INBOX} == set(CHANNELS), "services/notification/channels/carriers.py"


def test_every_channel_is_called_something_in_both_languages() -> None:
    assert all(channel.called.vi != channel.name != channel.called.en for channel in Channel)


@each
def test_a_carrier_has_its_settings(carrier: Carrier) -> None:
    names = set(ChannelSettings.model_fields)
    assert {carrier.switch, *carrier.secrets} <= names, "services/notification/settings.py"
    for secret in carrier.secrets:
        assert ChannelSettings.model_fields[secret].examples, f"{secret}: Field(examples=[...])"


@each
def test_a_carrier_is_held_to_the_contract(carrier: Carrier) -> None:
    found = [
        kind
        for path in sorted(HERE.glob("test_*.py"))
        if path.stem != "test_carriers" and "CarrierContract" in path.read_text()
        for kind in vars(import_module(f"tests.notification.{path.stem}")).values()
        if isinstance(kind, type) and issubclass(kind, CarrierContract) and kind is not CarrierContract
    ]
    assert [kind for kind in found if kind.carrier is carrier], f"tests/notification/test_{carrier.chart}.py"


@each
def test_a_carrier_s_messages_are_sent(carrier: Carrier) -> None:
    assert hasattr(NotificationService, f"send_{carrier.work}")


@each
def test_the_chart_gives_a_carrier_what_it_needs(carrier: Carrier) -> None:
    if carrier.chart == "mail":  # has values of its own: tests/charts
        return
    values = VALUES["channels"].get(carrier.chart)
    assert values, f"charts/motcua/values.yaml: channels.{carrier.chart}"
    assert values["enabled"] is False
    assert values["secrets"] == {f"MOTCUA_{name.upper()}": name.replace("_", "-") for name in carrier.secrets}
    assert f"MOTCUA_{carrier.switch.upper()}" in values["settings"] | values["secrets"]


@pytest.mark.parametrize(
    ("most", "found"), [(0, "Hồ sơ đã nhận"), (13, "Hồ sơ đã nhận"), (12, "Hồ sơ đã nh…"), (7, "Hồ sơ…")]
)
def test_a_text_is_as_long_as_its_carrier_takes(most: int, found: str) -> None:
    assert shortened("Hồ sơ đã nhận", most) == found
