"""A running platform answers whatever its OpenAPI document allows as the document says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.platform.deployment import Deployment
from tests.platform.world import Clock, People

pytestmark = pytest.mark.long

EXAMPLES = 3
SECONDS = 30
CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]
# Says "not now", with the time after which to ask again.
UNAVAILABLE = 503


@dataclass(frozen=True)
class Site:
    schema: OpenApiSchema
    # Of nobody, a citizen and an official.
    tokens: tuple[str, str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("platform")
    deployment = Deployment(folder / "data", settings={"MOTCUA_EDGE_RATE": "2000", "MOTCUA_EDGE_BURST": "4000"})
    deployment.start()
    people = People(deployment, Clock(folder / "shift"))
    tokens = ("", people.somebody(), people.official(people.commune, "receptionist"))
    described = httpx.get(f"{deployment.url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=deployment.url)
    yield Site(schema, tokens)
    deployment.stop()


def test_answers_are_as_documented(site: Site) -> None:
    found: dict[str, str] = {}
    for result in site.schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if operation.definition.raw.get("x-stream"):
            continue

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def conforms(case: Any) -> None:
            for token in site.tokens:
                response = case.call(headers={"authorization": f"Bearer {token}"} if token else {}, timeout=SECONDS)
                alive = [] if response.status_code == UNAVAILABLE else [not_a_server_error]
                case.validate_response(response, checks=[*alive, *CONFORMANCE])

        try:
            conforms()
        except (FailureGroup, AssertionError) as failure:
            found[operation.label] = "\n".join(str(one) for one in getattr(failure, "exceptions", [failure]))
    assert found == {}, "\n\n".join(f"{label}\n{text}" for label, text in found.items())
