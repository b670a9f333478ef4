"""The members of a consumer group, in either of Kafka's two group protocols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    GroupIdNotFoundError,
    IncompatibleBrokerVersion,
    TopicAuthorizationFailedError,
    UnsupportedVersionError,
    for_code,
)
from kafka.protocol.admin import DescribeGroupsRequest

from worker.kafka.facts import Absent, GroupFacts, Member
from worker.kafka.messages import ConsumerGroupDescribeRequest


class GroupAdmin(KafkaAdminClient):  # type: ignore[misc]  # kafka-python ships no types
    """An admin client that also sees the members of a group with the consumer group protocol (KIP-848).

    One member that uses this protocol converts the whole group to it. DescribeGroups, the only such request in
    kafka-python 3.0, then reports the group as dead, as if it did not exist.
    """

    def group_facts(self, group_id: str) -> GroupFacts:
        """The group as its coordinator describes it; a group that does not exist has no members. Raises KafkaError."""
        group = self.describe_groups([group_id])[group_id]
        members: tuple[Member, ...] | Absent = _members(group["members"], "group_instance_id")
        if group["group_state"] == "Dead":
            members = self._consumer_group_members(group_id)
        return GroupFacts(frozenset(group["authorized_operations"] or ()), members)

    def _consumer_group_members(self, group_id: str) -> tuple[Member, ...] | Absent:
        try:
            described = self._manager.run(self._describe_consumer_group, group_id)
        except (GroupIdNotFoundError, IncompatibleBrokerVersion, UnsupportedVersionError):
            # No such group; or brokers before 3.7 do not have the request, and those before 4.0 not the protocol.
            return ()
        except TopicAuthorizationFailedError:
            return Absent.HIDDEN
        return _members(described["members"], "instance_id")

    async def _describe_consumer_group(self, group_id: str) -> Mapping[str, Any]:
        coordinators = await self._find_coordinator_ids([group_id])
        request = ConsumerGroupDescribeRequest(group_ids=[group_id])
        (group,) = (await self._manager.send(request, node_id=coordinators[group_id])).groups
        _raise_for(group)
        described: Mapping[str, Any] = group.to_dict()
        return described

    def _describe_groups_request(self, group_ids: Sequence[str]) -> Any:
        # Later versions report a group without members as missing, and not which operations are allowed.
        return DescribeGroupsRequest(groups=list(group_ids), include_authorized_operations=True, max_version=5)

    def _describe_groups_process_response(self, response: Any) -> Any:
        # kafka-python turns the error into text, but its class decides whether to ask again.
        for group in response.groups:
            _raise_for(group)
        return super()._describe_groups_process_response(response)


def _members(described: Iterable[Mapping[str, Any]], instance_id: str) -> tuple[Member, ...]:
    # Brokers write a host as Java does, "name/address", usually with an empty name.
    return tuple(
        Member(each["client_id"], each["client_host"].removeprefix("/"), each[instance_id]) for each in described
    )


def _raise_for(group: Any) -> None:
    if group.error_code:
        raise for_code(group.error_code)(f"group {group.group_id}")
