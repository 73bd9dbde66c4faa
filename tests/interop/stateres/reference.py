"""Synapse's authorization rules and state resolution, called as a library."""

import logging

from synapse import event_auth
from synapse.api.errors import SynapseError
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS, StateResolutionVersions
from synapse.events import make_event_from_dict
from synapse.state import v1, v2
from synapse.storage.databases.main.event_federation import StateDifference

logging.disable(logging.ERROR)


def version_of(number):
    return KNOWN_ROOM_VERSIONS[str(number)]


def finish(coroutine):
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the resolver waits for something")


class Clock:
    async def sleep(self, _duration):
        pass


class Draft:
    """As much of an event as decides about its auth events."""

    def __init__(self, fields):
        self.type, self.sender, self.content = fields["type"], fields["sender"], fields["content"]
        self.state_key, self.membership = fields.get("state_key"), self.content.get("membership")

    def is_state(self):
        return self.state_key is not None


class Store:
    """The events of one room, and what a database would know of their auth chains."""

    def __init__(self, version):
        self.version, self.events, self.chains = version, {}, {}

    def event(self, fields):
        return make_event_from_dict(fields, self.version)

    def add(self, event):
        self.events[event.event_id] = event
        behind = [self.chains[auth] for auth in event.auth_event_ids()]
        self.chains[event.event_id] = frozenset({event.event_id}).union(*behind)

    async def get_events(self, ids, allow_rejected=False):
        return {event_id: self.events[event_id] for event_id in ids if event_id in self.events}

    async def get_auth_chain_difference(self, _room, state_sets, conflicted, _more):
        chains = [frozenset().union(*(self.chains[e] for e in state)) for state in state_sets]
        difference = set(frozenset().union(*chains) - chains[0].intersection(*chains[1:]))
        return StateDifference(difference, conflicted and self.between(conflicted))

    def between(self, conflicted):
        """The events that have a conflicted event behind them and one before them."""
        behind = frozenset().union(*(self.chains[event] for event in conflicted))
        return {event for event in behind if self.chains[event] & conflicted}

    def resolve(self, room_id, states):
        if self.version.state_res == StateResolutionVersions.V1:
            factory = self.get_events
            return dict(finish(v1.resolve_events_with_store(room_id, self.version, states, None, factory)))
        return dict(finish(v2.resolve_events_with_store(Clock(), room_id, self.version, states, None, self)))

    def allowed(self, event, state):
        """Whether the rules let `event` follow `state` (ids by type and state key)."""
        keys = event_auth.auth_types_for_event(self.version, event)
        found = [self.events[state[key]] for key in keys if key in state]
        try:
            event_auth.check_state_dependent_auth_rules(event, found)
            return True
        except SynapseError:
            return False
