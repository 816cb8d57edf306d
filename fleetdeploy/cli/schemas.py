"""The JSON Schemas of everything that is read or written in JSON."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from fleetdeploy.cli.render.auth_results import (
    ConsentLink,
    Imported,
    Removed,
    Rotations,
    Sealing,
    StoreKey,
)
from fleetdeploy.cli.render.credentials import CredentialList
from fleetdeploy.cli.render.explain import Story
from fleetdeploy.cli.render.history import History
from fleetdeploy.cli.render.packages import Packages
from fleetdeploy.cli.render.problems import ErrorDocument, Problems
from fleetdeploy.cli.render.pushes import Pushes
from fleetdeploy.cli.render.quarantine import QuarantineChange, QuarantineList
from fleetdeploy.cli.render.report import Report
from fleetdeploy.cli.render.resubmission import Resubmission
from fleetdeploy.cli.render.steered import Steered
from fleetdeploy.cli.render.validated import Validated
from fleetdeploy.core.diagnosis import Diagnosis
from fleetdeploy.core.manifest import manifest_schema
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.records import RECORDS
from fleetdeploy.core.summary import Status

Schema = dict[str, Any]  # JSON has no narrower type that readers could use

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _of(model: type[BaseModel], title: str) -> Callable[[], Schema]:
    return lambda: {
        "$schema": _DIALECT,
        **model.model_json_schema(mode="serialization"),
        "title": title,
    }


def _journal() -> Schema:
    """Return the schema of one line; `seq`, `at` and `prev` are the journal's own."""
    schema = RECORDS.json_schema()
    envelope = {
        "seq": {"type": "integer", "minimum": 0},
        "at": {"type": "string", "format": "date-time"},
        "prev": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    }
    return {
        "$schema": _DIALECT,
        "title": "fleetdeploy journal record",
        "type": "object",
        "properties": envelope,
        "required": sorted(envelope),
        **schema,
    }


SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = {
    "manifest": manifest_schema,
    "plan": _of(Plan, "fleetdeploy plan"),
    "journal": _journal,
    "status": _of(Status, "fleetdeploy status"),
    "report": _of(Report, "fleetdeploy report"),
    "history": _of(History, "fleetdeploy history"),
    "explain": _of(Story, "fleetdeploy explain"),
    "steering": _of(Steered, "fleetdeploy pause, approve and halt"),
    "packages": _of(Packages, "fleetdeploy packages"),
    "listen": _of(Pushes, "fleetdeploy listen"),
    "auth-list": _of(CredentialList, "fleetdeploy auth list"),
    "auth-import": _of(Imported, "fleetdeploy auth import"),
    "auth-authorize": _of(ConsentLink, "fleetdeploy auth authorize"),
    "auth-refresh": _of(Rotations, "fleetdeploy auth refresh"),
    "auth-remove": _of(Removed, "fleetdeploy auth remove"),
    "auth-key": _of(StoreKey, "fleetdeploy auth key"),
    "auth-reseal": _of(Sealing, "fleetdeploy auth reseal"),
    "quarantine-list": _of(QuarantineList, "fleetdeploy quarantine list"),
    "quarantine-change": _of(QuarantineChange, "fleetdeploy quarantine add and clear"),
    "doctor": _of(Diagnosis, "fleetdeploy doctor"),
    "validate": _of(Validated, "fleetdeploy validate"),
    "resubmission": _of(Resubmission, "fleetdeploy withdraw --and-resubmit --dry-run"),
    "problems": _of(Problems, "fleetdeploy, problems of a manifest"),
    "error": _of(ErrorDocument, "fleetdeploy, an error"),
}
