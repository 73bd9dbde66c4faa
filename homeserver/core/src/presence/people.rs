//! What is in memory of who is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pli_schema::records::sync::PresenceRecord;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId, presence::PresenceState};

use super::Seen;

/// How long a device counts as there after a sync has ended, in milliseconds.
const SYNC_GRACE_MS: u64 = 30_000;
/// How long someone counts as active after they did something, in milliseconds.
const ACTIVE_MS: u64 = 60_000;
/// After so long without doing anything someone is idle, in milliseconds.
const IDLE_MS: u64 = 5 * 60_000;
/// People in memory; above, those who went first are forgotten.
const PEOPLE_MAX: usize = 100_000;
/// Devices of one user that are looked at.
const DEVICES_MAX: usize = 100;

/// How available someone is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Availability {
    #[default]
    Offline,
    Unavailable,
    Online,
}

impl Availability {
    pub(super) fn of(state: &PresenceState) -> Option<Self> {
        match state {
            PresenceState::Online => Some(Self::Online),
            PresenceState::Unavailable => Some(Self::Unavailable),
            PresenceState::Offline => Some(Self::Offline),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unavailable => "unavailable",
            Self::Online => "online",
        }
    }
}

#[derive(Debug, Default)]
struct Device {
    says: Availability,
    /// The user said so, other than by syncing.
    by_hand: bool,
    syncs: usize,
    last_sync_ms: u64,
}

impl Device {
    fn is_there(&self, now_ms: u64) -> bool {
        self.syncs > 0 || now_ms < self.last_sync_ms.saturating_add(SYNC_GRACE_MS)
    }
}

/// What another server said of its user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) says: Availability,
    pub(super) active: bool,
    /// When the user was last active, in milliseconds since 1970.
    pub(super) last_active_ms: u64,
    /// After this it does not count.
    pub(super) until_ms: u64,
}

/// What others see.
type Shown = (Availability, bool, Option<String>);

#[derive(Debug, Default)]
struct Person {
    devices: HashMap<OwnedDeviceId, Device>,
    /// For a user of another server: nothing else is known of them.
    heard: Option<Heard>,
    status_msg: Option<String>,
    last_active_ms: u64,
    shown: Shown,
    serial: u64,
    /// When something may change by itself.
    deadline: Option<u64>,
}

impl Person {
    fn now(&self, now_ms: u64) -> Shown {
        if let Some(heard) = self.heard {
            let says = if now_ms < heard.until_ms { heard.says } else { Availability::Offline };
            let active = heard.active && says == Availability::Online;
            return (says, active, self.status_msg.clone());
        }
        let there = self.devices.values().filter(|device| device.is_there(now_ms));
        let mut best = there.map(|device| device.says).max().unwrap_or_default();
        if best == Availability::Online && now_ms >= self.last_active_ms.saturating_add(IDLE_MS) {
            best = Availability::Unavailable;
        }
        let active = now_ms < self.last_active_ms.saturating_add(ACTIVE_MS);
        (best, active && best == Availability::Online, self.status_msg.clone())
    }

    fn next_deadline(&self, now_ms: u64) -> Option<u64> {
        if let Some(heard) = self.heard {
            return Some(heard.until_ms).filter(|until_ms| *until_ms > now_ms);
        }
        let idle = self.devices.values().filter(|device| device.syncs == 0);
        let leaves = idle.map(|device| device.last_sync_ms.saturating_add(SYNC_GRACE_MS));
        let rests = [ACTIVE_MS, IDLE_MS].map(|after| self.last_active_ms.saturating_add(after));
        leaves.chain(rests).filter(|at| *at > now_ms).min()
    }

    fn record(&self) -> PresenceRecord {
        PresenceRecord { status_msg: self.status_msg.clone(), last_active_ms: self.last_active_ms }
    }
}

/// People who are there, or were.
#[derive(Debug)]
pub(super) struct People {
    people: HashMap<OwnedUserId, Person>,
    by_serial: BTreeMap<u64, OwnedUserId>,
    deadlines: BTreeSet<(u64, OwnedUserId)>,
    untold: HashSet<OwnedUserId>,
    gone: HashMap<OwnedUserId, PresenceRecord>,
    /// The first serial of this process; those of an earlier one are smaller.
    first: u64,
    next: u64,
}

pub(super) fn offline(record: &PresenceRecord, now_ms: u64) -> Seen {
    let at = Some(record.last_active_ms).filter(|at| *at > 0);
    Seen {
        state: Availability::Offline.name(),
        last_active_ago_ms: at.map(|at| now_ms.saturating_sub(at)),
        status_msg: record.status_msg.clone(),
        currently_active: false,
    }
}

impl People {
    pub(super) fn new(now_ms: u64) -> Self {
        let first = now_ms.max(1);
        Self {
            people: HashMap::new(),
            by_serial: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            untold: HashSet::new(),
            gone: HashMap::new(),
            first,
            next: first,
        }
    }

    pub(super) fn knows(&self, user_id: &UserId) -> bool {
        self.people.contains_key(user_id)
    }

    pub(super) fn add(&mut self, user_id: &UserId, record: PresenceRecord) {
        let PresenceRecord { status_msg, last_active_ms } = record;
        self.people.entry(user_id.to_owned()).or_insert_with(|| Person {
            shown: (Availability::Offline, false, status_msg.clone()),
            status_msg,
            last_active_ms,
            ..Person::default()
        });
    }

    pub(super) fn set(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        (state, status_msg): (Availability, Option<String>),
        now_ms: u64,
    ) -> PresenceRecord {
        let record = self.touch(user_id, device_id, now_ms, |person, device| {
            person.status_msg = status_msg;
            (device.says, device.by_hand, device.last_sync_ms) = (state, true, now_ms);
            if state == Availability::Online {
                person.last_active_ms = now_ms;
            }
        });
        record.unwrap_or_default()
    }

    pub(super) fn begin_sync(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        state: Availability,
        now_ms: u64,
    ) {
        self.touch(user_id, device_id, now_ms, |person, device| {
            if !device.is_there(now_ms) {
                // Someone comes back: whatever was said before, they are here.
                device.by_hand = false;
                if state == Availability::Online {
                    person.last_active_ms = now_ms;
                }
            }
            // That a sync goes on says nothing against what the user set by hand.
            if !device.by_hand || state == Availability::Unavailable {
                device.says = state;
            }
            device.syncs = device.syncs.saturating_add(1);
            device.last_sync_ms = now_ms;
        });
    }

    /// Another server says how its user is.
    pub(super) fn hear(
        &mut self,
        user_id: &UserId,
        (heard, status_msg): (Heard, Option<String>),
        now_ms: u64,
    ) {
        self.add(user_id, PresenceRecord::default());
        if let Some(person) = self.people.get_mut(user_id) {
            (person.heard, person.status_msg) = (Some(heard), status_msg);
            person.last_active_ms = heard.last_active_ms;
        }
        self.look(user_id, now_ms);
    }

    pub(super) fn end_sync(&mut self, user_id: &UserId, device_id: &DeviceId, now_ms: u64) {
        self.touch(user_id, device_id, now_ms, |_, device| {
            device.syncs = device.syncs.saturating_sub(1);
            device.last_sync_ms = now_ms;
        });
    }

    pub(super) fn active(&mut self, user_id: &UserId, device_id: &DeviceId, now_ms: u64) {
        self.touch(user_id, device_id, now_ms, |person, device| {
            person.last_active_ms = now_ms;
            if device.says == Availability::Unavailable {
                (device.says, device.by_hand) = (Availability::Online, false);
            }
        });
    }

    /// Changes a device of someone who is known, and notes what others see of it.
    fn touch(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        now_ms: u64,
        change: impl FnOnce(&mut Person, &mut Device),
    ) -> Option<PresenceRecord> {
        let person = self.people.get_mut(user_id)?;
        if person.devices.len() >= DEVICES_MAX {
            person.devices.retain(|_, device| device.is_there(now_ms));
        }
        let mut device = person.devices.remove(device_id).unwrap_or_default();
        change(person, &mut device);
        if person.devices.len() < DEVICES_MAX {
            person.devices.insert(device_id.to_owned(), device);
        }
        let record = person.record();
        self.look(user_id, now_ms);
        Some(record)
    }

    /// Notes what others see of someone now, and when to look again.
    fn look(&mut self, user_id: &UserId, now_ms: u64) {
        let Some(person) = self.people.get_mut(user_id) else {
            return;
        };
        if let Some(deadline) = person.deadline.take() {
            self.deadlines.remove(&(deadline, user_id.to_owned()));
        }
        person.deadline = person.next_deadline(now_ms);
        if let Some(deadline) = person.deadline {
            self.deadlines.insert((deadline, user_id.to_owned()));
        }
        let shown = person.now(now_ms);
        if shown == person.shown {
            return;
        }
        if shown.0 == Availability::Offline {
            if person.heard.is_none() {
                self.gone.insert(user_id.to_owned(), person.record());
            }
            person.devices.retain(|_, device| device.is_there(now_ms));
        }
        person.shown = shown;
        self.by_serial.remove(&person.serial);
        person.serial = self.next;
        self.by_serial.insert(self.next, user_id.to_owned());
        self.next = self.next.saturating_add(1);
        self.untold.insert(user_id.to_owned());
        self.bound();
    }

    /// Forgets those who went first, above the limit.
    fn bound(&mut self) {
        while self.by_serial.len() > PEOPLE_MAX {
            let Some((_, user_id)) = self.by_serial.pop_first() else { return };
            if let Some(person) = self.people.remove(&user_id)
                && let Some(deadline) = person.deadline
            {
                self.deadlines.remove(&(deadline, user_id));
            }
        }
    }

    /// What time alone has changed, and everyone of whom something is to be told or stored.
    pub(super) fn tick(
        &mut self,
        now_ms: u64,
    ) -> (HashSet<OwnedUserId>, HashMap<OwnedUserId, PresenceRecord>) {
        while let Some((deadline, user_id)) = self.deadlines.first().cloned() {
            if deadline > now_ms {
                break;
            }
            self.deadlines.pop_first();
            self.look(&user_id, now_ms);
        }
        (std::mem::take(&mut self.untold), std::mem::take(&mut self.gone))
    }

    pub(super) fn serial(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Who changed after `since` up to `until`, the newest of them; all who are there, if that is not
    /// known.
    pub(super) fn changed(&self, since: Option<u64>, until: u64, max: usize) -> Vec<OwnedUserId> {
        let known = since.filter(|since| since.saturating_add(1) >= self.first);
        let from = known.map_or(0, |since| since.saturating_add(1));
        if from > until {
            return Vec::new();
        }
        let changed = self.by_serial.range(from..=until).rev().map(|(_, user_id)| user_id);
        let is_there = |user_id: &&OwnedUserId| {
            let person = self.people.get(*user_id);
            known.is_some() || person.is_some_and(|person| person.shown.0 != Availability::Offline)
        };
        changed.filter(is_there).take(max).cloned().collect()
    }

    /// What others see of someone; `None` if nothing is in memory.
    pub(super) fn seen(&self, user_id: &UserId, now_ms: u64) -> Option<Seen> {
        let person = self.people.get(user_id)?;
        let (state, currently_active, status_msg) = person.now(now_ms);
        let base = offline(&person.record(), now_ms);
        Some(Seen { state: state.name(), currently_active, status_msg, ..base })
    }
}
