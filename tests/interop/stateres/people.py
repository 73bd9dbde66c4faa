"""What people do in a random room."""

PEOPLE = ["@alice:a.example", "@bob:a.example", "@carol:b.example", "@dan:b.example",
          "@eve:c.example", "@frank:c.example", "@grace:d.example"]
MEMBERSHIPS = {"join": 8, "leave": 2, "kick": 3, "ban": 3, "unban": 3, "invite": 4, "knock": 1, "restricted": 2}
LEVELS = [0, 0, 10, 25, 49, 50, 50, 51, 75, 99, 100, 100]


def act(random, room, branch):
    """Sender, type, state key and content of what somebody tries to do on a branch."""
    there = room.joined(branch)
    sender = random.choice(there if there and random.random() < 0.75 else PEOPLE)
    target = random.choice(PEOPLE)
    weights = {member: 34, levels: 16, join_rules: 9, setting: 22, own: 5, message: 8, invitation: 2, aliases: 4}
    deed = random.choices(list(weights), list(weights.values()))[0]
    if sender not in there and random.random() < 0.9:
        deed = member
    return deed(random, room, branch, sender, target)


def member(random, room, branch, sender, target):
    what = random.choices(list(MEMBERSHIPS), list(MEMBERSHIPS.values()))[0]
    if what == "leave" and sender in room.creators and random.random() < 0.8:
        what = "join"
    if what in ("join", "leave"):
        return sender, "m.room.member", sender, {"membership": what}
    if what == "knock":
        return sender, "m.room.member", sender, {"membership": "knock"}
    if what == "restricted":
        return sender, "m.room.member", sender, {
            "membership": "join", "join_authorised_via_users_server": target}
    membership = {"kick": "leave", "unban": "leave"}.get(what, what)
    return sender, "m.room.member", target, {"membership": membership, "reason": str(random.random())}


def current(room, branch, kind):
    event_id = branch.state.get((kind, ""))
    return dict(room.json[event_id]["content"]) if event_id else {}


def level(random, room):
    value = random.choice(LEVELS)
    # Numbers were also accepted as text before room version 10.
    return str(value) if room.number < 10 and random.random() < 0.03 else value


def levels(random, room, branch, sender, target):
    content = current(room, branch, "m.room.power_levels")
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        what = random.choice(["users", "users", "users", "unset", "events", "default", "default"])
        target = random.choice(PEOPLE)
        if what == "users":
            content["users"] = {**content.get("users", {}), target: level(random, room)}
        elif what == "unset":
            content["users"] = {user: value for user, value in content.get("users", {}).items()
                                if user != target}
        elif what == "events":
            kind = random.choice(["m.room.topic", "m.room.name", "m.room.power_levels", "m.room.join_rules",
                                  "m.room.message", "org.example.state"])
            content["events"] = {**content.get("events", {}), kind: level(random, room)}
        else:
            name = random.choice(["ban", "kick", "invite", "redact", "state_default", "events_default",
                                  "users_default"])
            content[name] = level(random, room)
    return sender, "m.room.power_levels", "", content


def join_rules(random, room, branch, sender, target):
    rule = random.choice(["public", "public", "invite", "knock", "restricted", "knock_restricted"])
    content = {"join_rule": rule, "x": random.random() < 0.5}
    if "restricted" in rule:
        content["allow"] = [{"type": "m.room_membership", "room_id": "!other:a.example"}]
    return sender, "m.room.join_rules", "", content


def setting(random, room, branch, sender, target):
    kind = random.choice(["m.room.topic", "m.room.name", "m.room.avatar", "m.room.history_visibility",
                          "m.room.server_acl", "m.room.encryption", "m.room.tombstone"])
    return sender, kind, "", {"value": random.getrandbits(20)}


def own(random, room, branch, sender, target):
    key = random.choice([sender, target, "a", "b", ""])
    return sender, "org.example.state", key, {"value": random.getrandbits(20)}


def message(random, room, branch, sender, target):
    return sender, "m.room.message", None, {"body": str(random.random()), "msgtype": "m.text"}


def invitation(random, room, branch, sender, target):
    return sender, "m.room.third_party_invite", random.choice("xyz"), {"display_name": "somebody"}


def aliases(random, room, branch, sender, target):
    return sender, "m.room.aliases", sender.split(":")[1], {"aliases": [f"#{random.getrandbits(9)}:a.example"]}
