//! `check`: reads every row and verifies all that can be verified.
//!
//! Every row: its checksum (over key and value), a key of a known table that decodes and encodes to
//! the same bytes, a record that decodes, a position that is not beyond the newest commit. Nodes of
//! state trees: their hash. Rooms and events: the state roots that they name are there.

use std::collections::BTreeSet;

use pli_schema::{
    Key, Position, Record, StateRoot, Table,
    records::{
        meta::{StateNodeKey, StateNodeRecord},
        rooms::{EventRecord, RoomHeadRecord},
    },
};

use crate::{
    Backend, Direction, Progress, RawScan, Store, StoreError, decode_value, limits, open::blocking,
    state_tree::verify_node,
};

/// A place where the store is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The table's name; empty if the key has none.
    pub table: &'static str,
    /// The key in hexadecimal; of rows that cannot be read at all, the last readable key before them.
    pub key: String,
    /// What does not fit.
    pub what: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Rows read.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub size_bytes: u64,
    /// The newest commit.
    pub position: Position,
    /// The damage, in the order of the keys.
    pub damages: Vec<Damage>,
    /// There was more damage than the report names.
    pub is_cut: bool,
}

impl CheckReport {
    /// Nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }
}

impl Store {
    /// Verifies the whole store, which may be in use meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] if the check itself could not be made; damage is in the report.
    pub async fn check(
        &self,
        progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<CheckReport, StoreError> {
        let backend = self.backend.clone();
        blocking(move || Ok(Check::new(&backend, Box::new(progress)).run())).await
    }
}

struct Check<'a> {
    backend: &'a Backend,
    progress: Box<dyn FnMut(Progress) + 'a>,
    report: CheckReport,
    nodes: BTreeSet<[u8; 16]>,
    roots: BTreeSet<[u8; 16]>,
}

impl<'a> Check<'a> {
    fn new(backend: &'a Backend, progress: Box<dyn FnMut(Progress) + 'a>) -> Self {
        let report = CheckReport { position: backend.position(), ..CheckReport::default() };
        Self { backend, progress, report, nodes: BTreeSet::new(), roots: BTreeSet::new() }
    }

    fn run(mut self) -> CheckReport {
        for first in 0..=u8::MAX {
            self.table(first);
        }
        let missing: Vec<_> = self.roots.difference(&self.nodes).copied().collect();
        for root in missing {
            let key = StateNodeKey { hash: root }.encode().bytes;
            // A state may have been made after its table was read.
            if !matches!(self.backend.get_now(&key), Ok(Some(_))) {
                self.damage(&key, "a state that a room, an event or another node names is missing");
            }
        }
        self.report
    }

    /// All rows whose key begins with `first`: forward, and if something cannot be read there, also
    /// backward up to it.
    fn table(&mut self, first: u8) {
        let end = first.checked_add(1).map_or_else(|| vec![0xFF; 600], |next| vec![next]);
        let mut scan = RawScan {
            start: vec![first],
            end,
            direction: Direction::Forward,
            limit: limits::PAGE_ROWS,
        };
        let Err(what) = self.walk(&mut scan) else { return };
        let before = scan.start.clone();
        scan.direction = Direction::Backward;
        let _ = self.walk(&mut scan);
        let until: String = hex(&scan.end);
        self.damage(&before, &format!("rows from here to before {until} cannot be read: {what}"));
    }

    /// Walks until the end, moving the bound of the scan behind it. A page that cannot be read is tried
    /// again row by row, so that the bound stops right at the damage.
    fn walk(&mut self, scan: &mut RawScan) -> Result<(), StoreError> {
        loop {
            let rows = match self.backend.scan_raw(scan) {
                Ok(rows) => rows,
                Err(error) if scan.limit == 1 => {
                    scan.limit = limits::PAGE_ROWS;
                    return Err(error);
                }
                Err(_) => {
                    scan.limit = 1;
                    continue;
                }
            };
            let Some((last, _)) = rows.last() else { return Ok(()) };
            match scan.direction {
                Direction::Forward => {
                    scan.start.clone_from(last);
                    scan.start.push(0);
                }
                Direction::Backward => scan.end.clone_from(last),
            }
            for (key, bytes) in &rows {
                self.row(key, bytes);
            }
            self.told();
        }
    }

    fn told(&mut self) {
        let CheckReport { rows, size_bytes, .. } = self.report;
        (self.progress)(Progress { what: "check", rows, size_bytes });
    }

    fn row(&mut self, key: &[u8], bytes: &[u8]) {
        let size = key.len().saturating_add(bytes.len()) as u64;
        self.report.rows = self.report.rows.saturating_add(1);
        self.report.size_bytes = self.report.size_bytes.saturating_add(size);
        if let Err(what) = self.verify(key, bytes) {
            self.damage(key, &what);
        }
    }

    fn verify(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), String> {
        let value = decode_value(key, bytes).map_err(|_| "the checksum does not fit".to_owned())?;
        // The store may be in use, so the newest position is asked for again.
        if value.position > self.report.position {
            self.report.position = self.backend.position();
        }
        let table = key.first().and_then(|&first| Table::from_byte(first));
        let table = table.ok_or("no table has keys that begin like this")?;
        pli_schema::verify_row(table, key, &value.record)?;
        self.states(table, key, &value.record)
    }

    /// Collects the state nodes that there are and those that are named.
    fn states(&mut self, table: Table, key: &[u8], record: &[u8]) -> Result<(), String> {
        let text = |_| "the record cannot be read".to_owned();
        let mut name = |root: StateRoot| {
            if root != StateRoot::EMPTY {
                self.roots.insert(root.0);
            }
        };
        match table {
            Table::StateNode => {
                let hash = StateNodeKey::decode(key).map_err(|error| error.to_string())?.hash;
                let node = StateNodeRecord::decode(record).map_err(text)?;
                let children = verify_node(&hash, &node.bytes)?;
                self.nodes.insert(hash);
                self.roots.extend(children);
            }
            Table::RoomHead => name(RoomHeadRecord::decode(record).map_err(text)?.state),
            Table::Event => name(EventRecord::decode(record).map_err(text)?.state_before),
            _ => {}
        }
        Ok(())
    }

    fn damage(&mut self, key: &[u8], what: &str) {
        if self.report.damages.len() >= limits::DAMAGES_MAX {
            self.report.is_cut = true;
            return;
        }
        let table = key.first().and_then(|&first| Table::from_byte(first)).map_or("", Table::name);
        let damage = Damage { table, key: hex(key), what: what.to_owned() };
        self.report.damages.push(damage);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
