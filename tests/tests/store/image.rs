//! What a disk may hold after a loss of power: built from a record of file operations.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rand::{Rng, rngs::StdRng};

use crate::workload::Ack;

/// What of the unsynced writes reached the disk.
#[derive(Clone, Copy, Debug)]
pub enum Model {
    /// Nothing.
    Nothing,
    /// Some whole writes.
    SomeWrites,
    /// Some sectors of 512 bytes.
    SomeSectors,
}

/// One operation, see `shim/record.c`.
#[derive(Debug)]
struct Operation {
    kind: u8,
    inode: u64,
    offset: u64,
    data: Vec<u8>,
}

/// A record of operations.
pub struct Recording {
    dir: PathBuf,
    operations: Vec<Operation>,
}

#[derive(Default)]
struct FileModel {
    synced: Vec<u8>,
    pending: Vec<Pending>,
}

enum Pending {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<u64, FileModel>,
    /// Names that are durable, and as they are.
    durable: BTreeMap<PathBuf, u64>,
    names: BTreeMap<PathBuf, u64>,
}

impl Recording {
    pub fn read(log: &Path, dir: &Path) -> Self {
        let bytes = std::fs::read(log).unwrap();
        let mut rest = bytes.as_slice();
        let mut operations = Vec::new();
        // The last record may be cut by the kill.
        while let Some((head, tail)) = rest.split_at_checked(21) {
            let number = |from: usize| u64::from_ne_bytes(head[from..from + 8].try_into().unwrap());
            let length = u32::from_ne_bytes(head[17..21].try_into().unwrap()) as usize;
            let Some((data, tail)) = tail.split_at_checked(length) else { break };
            let (inode, offset) = (number(1), number(9));
            operations.push(Operation { kind: head[0], inode, offset, data: data.to_vec() });
            rest = tail;
        }
        Self { dir: dir.to_owned(), operations }
    }

    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Writes the image of a loss of power after `cut` operations to `to`; what was acknowledged before.
    pub fn image(&self, cut: usize, model: Model, random: &mut StdRng, to: &Path) -> Vec<Ack> {
        let mut disk = Disk::default();
        let mut said = Vec::new();
        for operation in &self.operations[..cut] {
            if operation.kind == b'A' {
                said.extend_from_slice(&operation.data);
            } else {
                disk.apply(operation);
            }
        }
        disk.write(&self.dir, to, model, random);
        String::from_utf8_lossy(&said).lines().filter_map(Ack::parse).collect()
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes.to_vec()).unwrap())
}

impl Disk {
    fn apply(&mut self, operation: &Operation) {
        let Operation { kind, inode, offset, data } = operation;
        match kind {
            b'O' => {
                if *offset == 1 {
                    self.files.insert(*inode, FileModel::default());
                }
                self.files.entry(*inode).or_default();
                self.names.insert(path(data), *inode);
            }
            b'W' => self.pending(*inode, Pending::Write(*offset, data.clone())),
            b'T' => self.pending(*inode, Pending::Length(*offset)),
            b'S' => {
                if let Some(file) = self.files.get_mut(inode) {
                    for pending in std::mem::take(&mut file.pending) {
                        apply(&mut file.synced, &pending);
                    }
                }
            }
            b'D' => {
                let dir = path(data);
                let dir = dir.components().collect::<PathBuf>();
                self.durable.retain(|name, _| name.parent() != Some(&dir));
                let names = self.names.iter().filter(|(name, _)| name.parent() == Some(&dir));
                self.durable.extend(names.map(|(name, inode)| (name.clone(), *inode)));
            }
            b'R' => {
                let at = data.iter().position(|byte| *byte == 0).unwrap();
                if let Some(inode) = self.names.remove(&path(&data[..at])) {
                    self.names.insert(path(&data[at + 1..]), inode);
                }
            }
            b'U' => {
                self.names.remove(&path(data));
            }
            other => panic!("unknown record {other}"),
        }
    }

    fn pending(&mut self, inode: u64, pending: Pending) {
        self.files.entry(inode).or_default().pending.push(pending);
    }

    /// The names that survived: the durable ones, with some of the later changes.
    fn surviving(&self, model: Model, random: &mut StdRng) -> BTreeMap<PathBuf, u64> {
        let mut surviving = self.durable.clone();
        if matches!(model, Model::Nothing) {
            return surviving;
        }
        for (name, inode) in &self.names {
            if self.durable.get(name) != Some(inode) && random.random_bool(0.5) {
                surviving.insert(name.clone(), *inode);
            }
        }
        let gone = |name: &PathBuf| !self.names.contains_key(name);
        surviving.retain(|name, _| !(gone(name) && random.random_bool(0.5)));
        surviving
    }

    fn write(&self, dir: &Path, to: &Path, model: Model, random: &mut StdRng) {
        std::fs::create_dir_all(to.join("sled/blobs")).unwrap();
        for (name, inode) in self.surviving(model, random) {
            let Some(file) = self.files.get(&inode) else { continue };
            let mut content = file.synced.clone();
            for pending in &file.pending {
                match (model, pending) {
                    (Model::Nothing, _) => {}
                    (Model::SomeSectors, Pending::Write(offset, data)) => {
                        some_sectors(&mut content, *offset, data, random);
                    }
                    (_, pending) => {
                        if random.random_bool(0.5) {
                            apply(&mut content, pending);
                        }
                    }
                }
            }
            let name = to.join(name.strip_prefix(dir).unwrap());
            std::fs::create_dir_all(name.parent().unwrap()).unwrap();
            std::fs::write(name, content).unwrap();
        }
    }
}

fn some_sectors(content: &mut Vec<u8>, offset: u64, data: &[u8], random: &mut StdRng) {
    let mut at = 0;
    while at < data.len() {
        let until_border = 512 - (offset as usize + at) % 512;
        let end = data.len().min(at + until_border);
        if random.random_bool(0.5) {
            apply(content, &Pending::Write(offset + at as u64, data[at..end].to_vec()));
        }
        at = end;
    }
}

fn apply(content: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write(offset, data) => {
            let offset = *offset as usize;
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[offset..end].copy_from_slice(data);
        }
        Pending::Length(length) => content.resize(*length as usize, 0),
    }
}
