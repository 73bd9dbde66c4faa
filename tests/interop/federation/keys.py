"""Keys of devices and of people across servers, made here, by plain requests."""

import os

from signedjson.key import encode_verify_key_base64, generate_signing_key
from signedjson.sign import sign_json
from unpaddedbase64 import encode_base64

from common import PASSWORD

from .people import Refused, eventually
from .talking import together


class Device:
    """The keys of the device that somebody has registered with."""

    def __init__(self, user):
        self.user, self.key = user, generate_signing_key(user.device)
        ids = {f"ed25519:{user.device}": public(self.key), f"curve25519:{user.device}": encode_base64(os.urandom(32))}
        self.keys = sign_json({
            "user_id": user.id, "device_id": user.device, "keys": ids,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]}, user.id, self.key)

    def once(self, number):
        """A key to be used once, and its id."""
        return f"signed_curve25519:AAAA{number}", sign_json({"key": encode_base64(os.urandom(32))}, self.user.id, self.key)


def public(key):
    return encode_verify_key_base64(key.verify_key)


def devices_and_keys(play, a, b):
    alice, bob, _room = together(play, a, b)
    device = Device(alice)
    once = dict(device.once(number) for number in range(3))
    bob.sync()
    alice.post("/v3/keys/upload", {"device_keys": device.keys, "one_time_keys": once})
    bob.until("a change of devices", lambda: alice.id in bob.changed)
    found = bob.post("/v3/keys/query", {"device_keys": {alice.id: []}})
    assert found["device_keys"][alice.id][alice.device]["keys"] == device.keys["keys"], found
    taken = {}
    wanted = {"one_time_keys": {alice.id: {alice.device: "signed_curve25519"}}}
    for _ in range(3):
        taken.update(bob.post("/v3/keys/claim", wanted)["one_time_keys"][alice.id][alice.device])
    assert taken.keys() == once.keys() and all(taken[k]["key"] == once[k]["key"] for k in once), taken
    claimed = bob.post("/v3/keys/claim", wanted)
    assert not claimed["one_time_keys"].get(alice.id, {}).get(alice.device), claimed
    # Pli does not tell other servers how people call their devices.
    if a.kind == "synapse":
        alice.put(f"/v3/devices/{alice.device}", {"display_name": "Poste de travail"})
        eventually("the name of a device", lambda: bob.post("/v3/keys/query", {"device_keys": {alice.id: []}})[
            "device_keys"][alice.id][alice.device].get("unsigned", {}).get("device_display_name") == "Poste de travail")


def cross_signing(play, a, b):
    """The keys of a person and their signature of a device arrive, and so does it when they are replaced."""
    alice, bob, _room = together(play, a, b)
    device = Device(alice)
    alice.post("/v3/keys/upload", {"device_keys": device.keys})
    for _turn in range(2):
        bob.sync()
        bob.changed.clear()
        master, itself, others = (generate_signing_key("key") for _ in range(3))
        for key in (master, itself, others):
            key.version = public(key)
        made = {name: {"user_id": alice.id, "usage": [name.removesuffix("_key")],
                       "keys": {f"ed25519:{public(key)}": public(key)}}
                for name, key in (("master_key", master), ("self_signing_key", itself), ("user_signing_key", others))}
        for name in ("self_signing_key", "user_signing_key"):
            sign_json(made[name], alice.id, master)
        sign_json(made["master_key"], alice.id, device.key)
        with_password(alice, "/v3/keys/device_signing/upload", made)
        bob.until("a change of keys", lambda: alice.id in bob.changed)
        def both_keys():
            answer = bob.post("/v3/keys/query", {"device_keys": {alice.id: []}})
            there = [answer.get(name, {}).get(alice.id, {}).get("keys", {}) for name in ("master_keys", "self_signing_keys")]
            wanted = [{f"ed25519:{public(key)}": public(key)} for key in (master, itself)]
            return answer if there == wanted else None
        found = eventually("both keys", both_keys)
        assert not found.get("user_signing_keys", {}).get(alice.id), "the key for others is nobody else's business"
        bob.sync()
        bob.changed.clear()
        signed = sign_json({k: v for k, v in device.keys.items() if k != "signatures"}, alice.id, itself)
        answer = alice.post("/v3/keys/signatures/upload", {alice.id: {alice.device: signed}})
        assert not answer.get("failures"), answer
        bob.until("a signed device", lambda: alice.id in bob.changed)
        eventually("the signature", lambda: f"ed25519:{public(itself)}" in bob.post(
            "/v3/keys/query", {"device_keys": {alice.id: []}})["device_keys"][alice.id][alice.device]["signatures"][alice.id])


def with_password(user, path, body):
    try:
        user.post(path, body)
    except Refused as asked:
        if asked.status != 401:
            raise
        auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.id},
                "password": PASSWORD, "session": asked.body["session"]}
        user.post(path, {**body, "auth": auth})


SCENES = [devices_and_keys, cross_signing]
