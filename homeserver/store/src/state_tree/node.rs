//! Nodes of a state tree: their shape, their encoding and their hash.
//!
//! A node is a *leaf* if its sub-tree has at most [`LEAF_ENTRIES_MAX`] entries, else a *branch* on the
//! highest digit in which its keys differ. So the shape, and with it the hash of the root, depends on
//! the content alone and not on the order in which it came about.
//!
//! Digits are five bits wide (the topmost four), aligned at the low end, so that the border between
//! event type (24 bits) and state key (40 bits) is a border between digits.
//!
//! Encoding: `00`, number of entries, then for each entry the difference to the previous key and the
//! event number, all as LEB128; or `01`, shift of the digit, common prefix, number of entries in the
//! sub-tree (LEB128), 4 bytes bitmap of the children there are, 16 bytes hash of each child.

use pli_schema::{EventNumber, StateKeyNumber};
use sha2::{Digest, Sha256};

/// Entries of a leaf at most.
pub(super) const LEAF_ENTRIES_MAX: usize = 32;
/// Bits of a digit.
const DIGIT_BITS: u32 = 5;
/// Children of a branch at most.
const CHILDREN_MAX: u32 = 1 << DIGIT_BITS;

/// Hash of a node's encoding: SHA-256, first 16 bytes.
pub(super) type Hash = [u8; 16];
/// An entry of the state.
pub(super) type Entry = (StateKeyNumber, EventNumber);

/// A decoded node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// All entries of the sub-tree, by ascending key.
    Leaf(Vec<Entry>),
    /// More entries than a leaf takes.
    Branch(Branch),
}

/// A node with children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    /// Bits to the right of the digit on which this node branches.
    pub shift: u32,
    /// The bits to the left of that digit, equal in all keys of the sub-tree.
    pub prefix: u64,
    /// Entries in the sub-tree.
    pub count: u64,
    /// The children by digit, ascending; at least two.
    pub children: Vec<(u32, Hash)>,
}

/// `value >> shift` that is 0 where nothing is left.
fn right(value: u64, shift: u32) -> u64 {
    value.checked_shr(shift).unwrap_or(0)
}

/// The digit of `key` at `shift`.
pub(super) fn digit(key: u64, shift: u32) -> u32 {
    u32::try_from(right(key, shift) & u64::from(CHILDREN_MAX - 1)).unwrap_or(0)
}

/// The bits of `key` to the left of the digit at `shift`.
pub(super) fn prefix(key: u64, shift: u32) -> u64 {
    right(key, shift.saturating_add(DIGIT_BITS))
}

/// The shift of the highest digit in which two different keys differ.
pub(super) fn differing_shift(a: u64, b: u64) -> u32 {
    let highest_bit = (a ^ b).checked_ilog2().unwrap_or(0);
    highest_bit.saturating_sub(highest_bit % DIGIT_BITS)
}

impl Branch {
    /// Does a key belong to this sub-tree?
    pub fn covers(&self, key: u64) -> bool {
        prefix(key, self.shift) == self.prefix
    }

    /// The digits there can be: the topmost has four bits only.
    pub fn slots(&self) -> std::ops::Range<u32> {
        0..(CHILDREN_MAX.min(1 << u64::BITS.saturating_sub(self.shift).min(DIGIT_BITS)))
    }

    /// The hash of the child for a digit.
    pub fn child(&self, digit: u32) -> Option<Hash> {
        self.children.iter().find(|(d, _)| *d == digit).map(|(_, hash)| *hash)
    }

    /// Least and greatest key that the child of a digit may hold.
    pub fn bounds(&self, digit: u32) -> (u64, u64) {
        let base = (self.prefix.checked_shl(self.shift.saturating_add(DIGIT_BITS)).unwrap_or(0))
            | (u64::from(digit) << self.shift);
        (base, base | ((1_u64 << self.shift).saturating_sub(1)))
    }

    /// Some key that this sub-tree could hold.
    pub fn any_key(&self) -> u64 {
        self.bounds(0).0
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

impl Node {
    /// The bytes that are stored and hashed.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Leaf(entries) => encode_leaf(entries),
            Self::Branch(branch) => encode_branch(branch),
        }
    }

    /// The node from its bytes; `None` if they are no node.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        bytes = rest;
        match kind {
            0 => decode_leaf(bytes).map(Self::Leaf),
            1 => decode_branch(bytes).map(Self::Branch),
            _ => None,
        }
    }

    /// Entries in the sub-tree.
    pub fn count(&self) -> u64 {
        match self {
            Self::Leaf(entries) => entries.len() as u64,
            Self::Branch(branch) => branch.count,
        }
    }
}

/// The hash of an encoded node.
pub(super) fn hash(bytes: &[u8]) -> Hash {
    let digest = Sha256::digest(bytes);
    let mut hash = [0; 16];
    for (to, from) in hash.iter_mut().zip(digest) {
        *to = from;
    }
    hash
}

fn encode_leaf(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len().saturating_mul(8));
    out.push(0);
    put_number(&mut out, entries.len() as u64);
    let mut previous = 0_u64;
    for (key, event) in entries {
        put_number(&mut out, key.0.wrapping_sub(previous));
        put_number(&mut out, event.0);
        previous = key.0;
    }
    out
}

fn decode_leaf(mut bytes: &[u8]) -> Option<Vec<Entry>> {
    let count = usize::try_from(take_number(&mut bytes)?).ok()?;
    if count == 0 || count > LEAF_ENTRIES_MAX {
        return None;
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    let mut previous = 0_u64;
    for _ in 0..count {
        let key = previous.checked_add(take_number(&mut bytes)?)?;
        if !entries.is_empty() && key == previous {
            return None;
        }
        entries.push((StateKeyNumber(key), EventNumber(take_number(&mut bytes)?)));
        previous = key;
    }
    bytes.is_empty().then_some(entries)
}

fn encode_branch(branch: &Branch) -> Vec<u8> {
    let mut out = Vec::with_capacity(branch.children.len().saturating_mul(16).saturating_add(24));
    out.push(1);
    put_number(&mut out, u64::from(branch.shift));
    put_number(&mut out, branch.prefix);
    put_number(&mut out, branch.count);
    let bitmap = branch.children.iter().fold(0_u32, |map, (digit, _)| map | (1 << digit));
    out.extend_from_slice(&bitmap.to_be_bytes());
    for (_, hash) in &branch.children {
        out.extend_from_slice(hash);
    }
    out
}

fn decode_branch(mut bytes: &[u8]) -> Option<Branch> {
    let shift = u32::try_from(take_number(&mut bytes)?).ok()?;
    let prefix = take_number(&mut bytes)?;
    let count = take_number(&mut bytes)?;
    let (bitmap, mut rest) = bytes.split_first_chunk::<4>()?;
    let bitmap = u32::from_be_bytes(*bitmap);
    if shift > 60 || shift % DIGIT_BITS != 0 || bitmap.count_ones() < 2 {
        return None;
    }
    let mut children = Vec::with_capacity(bitmap.count_ones() as usize);
    for digit in (0..CHILDREN_MAX).filter(|digit| bitmap & (1 << digit) != 0) {
        let (hash, tail) = rest.split_first_chunk::<16>()?;
        children.push((digit, *hash));
        rest = tail;
    }
    rest.is_empty().then_some(Branch { shift, prefix, count, children })
}

/// Verifies a stored node against the key it is stored under, for `check`; gives its children.
///
/// # Errors
/// A text that says what does not fit.
pub(crate) fn verify(key: &Hash, bytes: &[u8]) -> Result<Vec<Hash>, String> {
    if hash(bytes) != *key {
        return Err("the node does not hash to its key".to_owned());
    }
    match Node::decode(bytes) {
        Some(Node::Leaf(_)) => Ok(Vec::new()),
        Some(Node::Branch(branch)) => {
            Ok(branch.children.into_iter().map(|(_, child)| child).collect())
        }
        None => Err("the bytes are no node".to_owned()),
    }
}
