"""docker-compose.yml: every variable is a setting, every name it uses is there, and every service has its bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from config.settings import Settings, load
from tidewatch.cli import app

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROLES = {name: service for name, service in SERVICES.items() if service.get("image") == "tidewatch"}


def settings_of(role: str) -> Settings:
    """What the role is given, but for the file of secrets."""
    environment = dict(ROLES[role]["environment"])
    assert environment.pop("TIDEWATCH_CONFIG") == "/run/secrets/tidewatch.toml"
    return load(None, environment)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_a_command_and_its_variables_are_settings(role: str) -> None:
    settings = settings_of(role)
    assert set(ROLES[role]["command"]) <= set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert settings.kafka.bootstrap.split(":")[0] in SERVICES
    assert settings.redis.url.get_secret_value().removeprefix("redis://").split(":")[0] in SERVICES
    assert settings.clickhouse.url.removeprefix("http://").split(":")[0] in SERVICES


def test_all_roles_agree_and_none_keeps_a_directory_but_the_boards() -> None:
    assert set(ROLES) == {"gateway", "worker", "sink", "notifier"}
    given = {role: settings_of(role) for role in ROLES}
    assert len({settings.kafka.model_dump_json() for settings in given.values()}) == 1
    assert [role for role, settings in given.items() if settings.data] == []
    mounted = {role: [volume.split(":")[1] for volume in ROLES[role].get("volumes", ())] for role in ROLES}
    assert {role: places for role, places in mounted.items() if places} == {"gateway": ["/var/lib/tidewatch"]}
    assert str(given["gateway"].boards).startswith("/var/lib/tidewatch/")


def test_who_joins_an_empty_group_does_not_wait_for_others() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS"] == "0"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_and_what_it_names_is_there(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "restart", "logging", "healthcheck"} <= service.keys()
    assert service.get("depends_on", {}).keys() <= SERVICES.keys()
    for needed, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[needed]
    assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= COMPOSE["volumes"].keys()
    assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for key in service.get("environment", {}):
            assert "SECRET" not in key
            assert "PASSWORD" not in key.removesuffix("PASSWORD_FILE")
