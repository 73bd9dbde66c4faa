//! The file of a backup.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use pli_schema::{Position, records::meta::FormatRecord};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Progress, StoreError, limits,
    sled_backend::{boundary::of_io, files::sync_dir},
};

const MAGIC: &[u8] = b"PLI BACKUP 1\n";

/// The first block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// What the store said of itself.
    pub format: FormatRecord,
}

/// The last block: without it a backup is not whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tail {
    /// The mark.
    pub position: Position,
    /// Entries before.
    pub entries: u64,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Head = b'H',
    Entries = b'E',
    Tail = b'T',
}

/// Writes a backup.
pub(super) struct Writer {
    file: BufWriter<File>,
    partial: PathBuf,
    block: Vec<u8>,
    entries: u64,
    size_bytes: u64,
}

fn failed(error: &std::io::Error) -> StoreError {
    of_io("writing the backup", error)
}

impl Writer {
    pub(super) fn create(to: &Path, head: &Head) -> Result<Self, StoreError> {
        if to.exists() {
            let text = format!("{} exists; choose another file", to.display());
            return Err(StoreError::Unusable(text));
        }
        let mut name = to.as_os_str().to_owned();
        name.push(".partial");
        let partial = PathBuf::from(name);
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&partial).map_err(|e| failed(&e))?;
        let mut writer = Self {
            file: BufWriter::with_capacity(limits::BLOCK_BYTES, file),
            partial,
            block: Vec::new(),
            entries: 0,
            size_bytes: MAGIC.len() as u64,
        };
        writer.file.write_all(MAGIC).map_err(|e| failed(&e))?;
        writer.write_block(Kind::Head, &encode(head)?)?;
        Ok(writer)
    }

    /// Adds a row, or that it was removed.
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.block.push(u8::from(value.is_some()));
        put_bytes(&mut self.block, key)?;
        if let Some(value) = value {
            put_bytes(&mut self.block, value)?;
        }
        self.entries = self.entries.saturating_add(1);
        if self.block.len() >= limits::BLOCK_BYTES { self.write_entries() } else { Ok(()) }
    }

    fn write_entries(&mut self) -> Result<(), StoreError> {
        let block = std::mem::take(&mut self.block);
        if block.is_empty() { Ok(()) } else { self.write_block(Kind::Entries, &block) }
    }

    fn write_block(&mut self, kind: Kind, content: &[u8]) -> Result<(), StoreError> {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[kind as u8]);
        hasher.update(content);
        let mut head = vec![kind as u8];
        put_length(&mut head, content)?;
        head.extend_from_slice(&hasher.finalize().to_be_bytes());
        self.size_bytes =
            self.size_bytes.saturating_add(head.len() as u64).saturating_add(content.len() as u64);
        let written = self.file.write_all(&head).and_then(|()| self.file.write_all(content));
        written.map_err(|e| failed(&e))
    }

    pub(super) fn progress(&self, what: &'static str) -> Progress {
        Progress { what, rows: self.entries, size_bytes: self.size_bytes }
    }

    /// Ends the backup durably; entries and bytes.
    pub(super) fn finish(
        mut self,
        to: &Path,
        position: Position,
    ) -> Result<(u64, u64), StoreError> {
        self.write_entries()?;
        self.write_block(Kind::Tail, &encode(&Tail { position, entries: self.entries })?)?;
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        flushed.and_then(|()| fs::rename(&self.partial, to)).map_err(|e| failed(&e))?;
        if let Some(dir) = to.parent().filter(|dir| dir.is_dir()) {
            sync_dir(dir)?;
        }
        Ok((self.entries, self.size_bytes))
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    postcard::to_allocvec(value).map_err(|error| StoreError::Io(error.to_string()))
}

fn put_length(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), StoreError> {
    let length = u32::try_from(bytes.len()).map_err(|_| StoreError::TooLarge {
        what: "value",
        size_bytes: bytes.len(),
        limit_bytes: u32::MAX as usize,
    })?;
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), StoreError> {
    put_length(out, bytes)?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Reads a backup.
pub(super) struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    pub size_bytes: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<(Self, Head), StoreError> {
        let file = File::open(path)
            .map_err(|e| of_io(&format!("opening the backup {}", path.display()), &e))?;
        let file = BufReader::with_capacity(limits::BLOCK_BYTES, file);
        let size_bytes = MAGIC.len() as u64;
        let mut reader = Self { file, path: path.to_owned(), size_bytes };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic)?;
        if magic != MAGIC {
            let text = format!("{} is not a backup of Pli", path.display());
            return Err(StoreError::Unusable(text));
        }
        match reader.block()? {
            (Kind::Head, content) => {
                let head = reader.decode(&content)?;
                Ok((reader, head))
            }
            _ => Err(reader.damaged()),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.file.read_exact(bytes).map_err(|_| self.damaged())
    }

    /// The next block, verified.
    pub(super) fn block(&mut self) -> Result<(Kind, Vec<u8>), StoreError> {
        let mut head = [0; 9];
        self.fill(&mut head)?;
        let [kind, l0, l1, l2, l3, sum @ ..] = head;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > limits::BLOCK_BYTES_MAX {
            return Err(self.damaged());
        }
        let mut content = vec![0; length];
        self.fill(&mut content)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[kind]);
        hasher.update(&content);
        if hasher.finalize() != u32::from_be_bytes(sum) {
            return Err(self.damaged());
        }
        self.size_bytes = self.size_bytes.saturating_add(9).saturating_add(length as u64);
        let kind = match kind {
            b'H' => Kind::Head,
            b'E' => Kind::Entries,
            b'T' => Kind::Tail,
            _ => return Err(self.damaged()),
        };
        Ok((kind, content))
    }

    /// The content of a head or a tail.
    pub(super) fn decode<T: DeserializeOwned>(&self, content: &[u8]) -> Result<T, StoreError> {
        postcard::from_bytes(content).map_err(|_| self.damaged())
    }

    /// The backup is not as it was written.
    pub(super) fn damaged(&self) -> StoreError {
        StoreError::Corrupt(format!(
            "the backup {} is damaged or not whole; take another one",
            self.path.display()
        ))
    }
}

/// The entries of a block: key and value, without value where the row was removed. `None` if the block
/// is malformed.
pub(super) type Entries = Vec<(Vec<u8>, Option<Vec<u8>>)>;

pub(super) fn entries(mut block: &[u8]) -> Option<Entries> {
    let mut found = Vec::new();
    while let Some((&kind, rest)) = block.split_first() {
        block = rest;
        let key = take_bytes(&mut block)?;
        match kind {
            0 => found.push((key, None)),
            1 => {
                let value = take_bytes(&mut block)?;
                found.push((key, Some(value)));
            }
            _ => return None,
        }
    }
    Some(found)
}

fn take_bytes(block: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = block.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *block = rest;
    Some(bytes.to_vec())
}
