"""Rooms whose history is made up at random: branches fork, grow and meet again."""

from .people import PEOPLE, act
from .reference import Draft, Store, event_auth, version_of

CREATE = ("m.room.create", "")


class Branch:
    """A last event, the state after it, and some states of before."""

    def __init__(self, last, state, past=()):
        self.last, self.state, self.past = last, state, list(past)

    def fork(self):
        return Branch(self.last, dict(self.state), self.past)


class Room:
    def __init__(self, random, number, size):
        self.random, self.number, self.version = random, number, version_of(number)
        self.store, self.made, self.now = Store(self.version), 0, 1_700_000_000_000
        self.room_id, self.json, self.forks, self.answers = None, {}, [], []
        # How many events there were when branches last met.
        self.met = 0
        self.branches = [self.begin()]
        tries = 0
        while len(self.json) < size and tries < 4 * size:
            self.step()
            tries += 1
        states = [branch.state for branch in self.random.sample(self.branches, len(self.branches))]
        if len(states) > 1:
            self.resolve(states)

    def joined(self, branch):
        return [person for person in PEOPLE if (event := branch.state.get(("m.room.member", person)))
                and self.json[event]["content"]["membership"] == "join"]

    def begin(self):
        creator = PEOPLE[0]
        self.creators = [creator]
        content = {"room_version": str(self.number)}
        if self.number < 11:
            content["creator"] = creator
        if self.number >= 12:
            if self.random.random() < 0.4:
                self.creators.append(PEOPLE[1])
                content["additional_creators"] = [PEOPLE[1]]
        elif self.number < 12:
            self.room_id = f"!room{self.random.getrandbits(32)}:a.example"
        branch = Branch([], {})
        self.append(branch, creator, *CREATE, content)
        self.append(branch, creator, "m.room.member", creator, {"membership": "join"})
        users = {} if self.number >= 12 else {creator: 100}
        for person in PEOPLE[1:]:
            if person not in self.creators and self.random.random() < 0.5:
                users[person] = self.random.choice([10, 50, 50, 99, 100])
        self.append(branch, creator, "m.room.power_levels", "", {"users": users, "invite": 0})
        rule = self.random.choice(["public", "public", "invite"])
        self.append(branch, creator, "m.room.join_rules", "", {"join_rule": rule})
        return branch

    def fields(self, branch, sender, kind, state_key, content, auth_from):
        self.made += 1
        self.now += self.random.choice([0, 0, 1, 5, 1000])
        skew = self.random.choice([0, 0, 0, -50, 3000, -3000])
        fields = {
            "type": kind, "sender": sender, "content": content, "origin_server_ts": self.now + skew,
            "depth": 1 + max((self.store.events[e].depth for e in branch.last), default=0),
            "prev_events": self.named(branch.last), "auth_events": [],
            "hashes": {"sha256": f"{self.random.getrandbits(250):043x}"[:43]}, "signatures": {},
        }
        if state_key is not None:
            fields["state_key"] = state_key
        if self.number < 3:
            fields["event_id"] = f"${self.made}.{self.random.getrandbits(24)}:{sender.split(':')[1]}"
        if self.room_id:
            fields["room_id"] = self.room_id
        if kind != "m.room.create":
            keys = event_auth.auth_types_for_event(self.version, Draft(fields))
            ids = [auth_from[key] for key in sorted(keys) if key in auth_from
                   and (self.number < 12 or key != CREATE)]
            fields["auth_events"] = self.named(ids)
        return fields

    def named(self, ids):
        return [[e, {"sha256": "x" * 43}] for e in ids] if self.number < 3 else list(ids)

    def append(self, branch, sender, kind, state_key, content, auth_from=None):
        """Makes an event; it becomes the last of the branch, if the rules allow it there and after
        the state that its auth events are of."""
        before = branch.state if auth_from is None else auth_from
        fields = self.fields(branch, sender, kind, state_key, content, before)
        event = self.store.event(fields)
        if not all(self.store.allowed(event, state) for state in (before, branch.state)):
            return False
        if kind == "m.room.create" and not self.room_id:
            self.room_id = "!" + event.event_id[1:]
        self.store.add(event)
        self.json[event.event_id] = fields
        branch.last = [event.event_id]
        if state_key is not None:
            branch.past = (branch.past + [dict(branch.state)])[-6:] if branch.state else []
            branch.state[(kind, state_key)] = event.event_id
        return True

    def step(self):
        chance = self.random.random()
        branch = self.random.choice(self.branches)
        if len(self.branches) == 1 or (chance < 0.02 and len(self.branches) < 5):
            self.branches.append(branch.fork())
        elif chance < 0.032 and len(self.branches) > 1 and len(self.json) > self.met + 5:
            self.met = len(self.json)
            self.merge()
        else:
            stale = self.random.choice(branch.past) if branch.past and self.random.random() < 0.1 else None
            self.append(branch, *act(self.random, self, branch), auth_from=stale)

    def merge(self):
        """Two or three branches meet: what follows has them all before it."""
        met = self.random.sample(self.branches, min(len(self.branches), self.random.choice([2, 2, 3])))
        state = self.resolve([branch.state for branch in met])
        # An event names 20 at most.
        last = sorted({event for branch in met for event in branch.last})[:20]
        self.branches = [branch for branch in self.branches if branch not in met]
        self.branches.append(Branch(last, state, met[0].past))

    def resolve(self, states):
        state = self.store.resolve(self.room_id, [dict(state) for state in states])
        self.forks.append([sorted(state.values()) for state in states])
        self.answers.append(sorted(state.values()))
        return state

    def needed(self):
        """The events of the states of all forks, with their auth chains."""
        ids = {event for states in self.forks for state in states for event in state}
        return sorted(frozenset().union(*(self.store.chains[event] for event in ids)))
