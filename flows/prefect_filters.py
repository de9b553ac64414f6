"""Filters for queries to the Prefect server: runs of this flow, by state."""

from collections.abc import Iterable
from uuid import UUID

from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import StateType

FLOW = "distilflow"
OURS = FlowFilter.model_validate({"name": {"any_": [FLOW]}})


def runs_in(types: Iterable[StateType]) -> FlowRunFilter:
    """Runs in one of these states."""
    return FlowRunFilter.model_validate({"state": {"type": {"any_": list(types)}}})


def runs_not_in(types: Iterable[StateType]) -> FlowRunFilter:
    """Runs in any other state."""
    return FlowRunFilter.model_validate({"state": {"type": {"not_any_": list(types)}}})


def run_of(run_id: UUID) -> FlowRunFilter:
    """One run."""
    return FlowRunFilter.model_validate({"id": {"any_": [run_id]}})


def tasks_in(types: Iterable[StateType]) -> TaskRunFilter:
    """Tasks in one of these states."""
    return TaskRunFilter.model_validate({"state": {"type": {"any_": list(types)}}})


def deployment_of(deployment_id: UUID) -> DeploymentFilter:
    """One deployment."""
    return DeploymentFilter.model_validate({"id": {"any_": [deployment_id]}})
