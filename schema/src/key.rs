//! The codec of keys: typed parts to bytes whose order is the order of the parts, and back.
//!
//! Integers are big-endian. Strings are escaped (`00` becomes `00 FF`) and end with `00 00`, so that
//! neither length nor content of one part disturbs the order of the next.

use ruma::{
    OwnedDeviceId, OwnedEventId, OwnedMxcUri, OwnedRoomAliasId, OwnedRoomId, OwnedServerName,
    OwnedUserId,
};

use crate::{Position, Record, Stamp, Table};

/// A key of one table. Made by the [`crate::table!`] macro.
pub trait Key: Clone + Send + Sync + 'static {
    /// The table, a one-byte prefix.
    const TABLE: Table;
    /// What is stored under the key.
    type Record: Record;

    /// Writes the parts after the table's byte.
    fn write(&self, w: &mut KeyWriter);

    /// Reads the parts after the table's byte.
    ///
    /// # Errors
    /// [`KeyError`] if the bytes are not such a key.
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError>;

    /// The whole key, table byte included.
    fn encode(&self) -> EncodedKey {
        let mut w = KeyWriter::new(Self::TABLE);
        self.write(&mut w);
        w.finish()
    }

    /// Decodes a whole key, table byte included.
    ///
    /// # Errors
    /// [`KeyError`] if the bytes are not such a key.
    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut r = KeyReader::new(Self::TABLE, bytes)?;
        let key = Self::read(&mut r)?;
        r.end()?;
        Ok(key)
    }
}

/// A key as bytes, with the place of the commit's position if it has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodedKey {
    /// The bytes; where `stamp` says so, eight zero bytes wait for the position.
    pub bytes: Vec<u8>,
    /// Offset of the eight bytes that the committer fills with its position, big-endian.
    pub stamp: Option<usize>,
}

/// The bytes are not a key of the expected table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another table's byte.
    #[error("key of another table")]
    WrongTable,
    /// Too short, too long, or not the grammar of the part.
    #[error("malformed key")]
    Malformed,
}

/// Writes key parts.
#[derive(Debug)]
pub struct KeyWriter {
    bytes: Vec<u8>,
    stamp: Option<usize>,
}

impl KeyWriter {
    /// Begins a key of `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(40);
        bytes.push(table as u8);
        Self { bytes, stamp: None }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Bytes of any content, escaped and terminated.
    pub fn bytes(&mut self, value: &[u8]) {
        for &byte in value {
            self.bytes.push(byte);
            if byte == 0 {
                self.bytes.push(0xFF);
            }
        }
        self.bytes.extend_from_slice(&[0, 0]);
    }

    /// A position, or the place where the committer writes its own.
    pub fn stamp(&mut self, value: Stamp) {
        match value {
            Stamp::At(position) => self.u64(position.0),
            Stamp::Commit => {
                self.stamp = Some(self.bytes.len());
                self.u64(0);
            }
        }
    }

    /// The finished key.
    #[must_use]
    pub fn finish(self) -> EncodedKey {
        EncodedKey { bytes: self.bytes, stamp: self.stamp }
    }
}

/// Reads key parts.
#[derive(Debug)]
pub struct KeyReader<'a> {
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// Reads a key of `table`.
    ///
    /// # Errors
    /// [`KeyError::WrongTable`] if the first byte is another table's.
    pub fn new(table: Table, bytes: &'a [u8]) -> Result<Self, KeyError> {
        match bytes.split_first() {
            Some((&first, rest)) if first == table as u8 => Ok(Self { rest }),
            _ => Err(KeyError::WrongTable),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(KeyError::Malformed)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] at the end of the key.
    pub fn u8(&mut self) -> Result<u8, KeyError> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] at the end of the key.
    pub fn u32(&mut self) -> Result<u32, KeyError> {
        self.take().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] at the end of the key.
    pub fn u64(&mut self) -> Result<u64, KeyError> {
        self.take().map(u64::from_be_bytes)
    }

    /// Escaped, terminated bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] without a terminator or with a wrong escape.
    pub fn bytes(&mut self) -> Result<Vec<u8>, KeyError> {
        let mut out = Vec::new();
        loop {
            match self.u8()? {
                0 => match self.u8()? {
                    0 => return Ok(out),
                    0xFF => out.push(0),
                    _ => return Err(KeyError::Malformed),
                },
                byte => out.push(byte),
            }
        }
    }

    /// A string.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is not terminated or not UTF-8.
    pub fn string(&mut self) -> Result<String, KeyError> {
        String::from_utf8(self.bytes()?).map_err(|_| KeyError::Malformed)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if something is.
    pub fn end(&self) -> Result<(), KeyError> {
        if self.rest.is_empty() { Ok(()) } else { Err(KeyError::Malformed) }
    }
}

/// A part of a key.
pub trait KeyPart: Sized {
    /// Writes the part.
    fn write(&self, w: &mut KeyWriter);
    /// Reads the part.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the bytes are not such a part.
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError>;
}

impl KeyPart for u8 {
    fn write(&self, w: &mut KeyWriter) {
        w.u8(*self);
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        r.u8()
    }
}

impl KeyPart for u32 {
    fn write(&self, w: &mut KeyWriter) {
        w.u32(*self);
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        r.u32()
    }
}

impl KeyPart for u64 {
    fn write(&self, w: &mut KeyWriter) {
        w.u64(*self);
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        r.u64()
    }
}

impl KeyPart for Stamp {
    fn write(&self, w: &mut KeyWriter) {
        w.stamp(*self);
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(Self::At(Position(r.u64()?)))
    }
}

impl KeyPart for Position {
    fn write(&self, w: &mut KeyWriter) {
        w.u64(self.0);
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(Self(r.u64()?))
    }
}

impl KeyPart for String {
    fn write(&self, w: &mut KeyWriter) {
        w.bytes(self.as_bytes());
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        r.string()
    }
}

impl KeyPart for Vec<u8> {
    fn write(&self, w: &mut KeyWriter) {
        w.bytes(self);
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        r.bytes()
    }
}

/// A hash or another value of fixed width.
impl<const N: usize> KeyPart for [u8; N] {
    fn write(&self, w: &mut KeyWriter) {
        for &byte in self {
            w.u8(byte);
        }
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        r.take()
    }
}

macro_rules! identifier_part {
    ($($name:ident),+) => {$(
        impl KeyPart for $name {
            fn write(&self, w: &mut KeyWriter) {
                w.bytes(self.as_str().as_bytes());
            }
            fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
                r.string()?.try_into().map_err(|_| KeyError::Malformed)
            }
        }
    )+};
}
identifier_part!(OwnedUserId, OwnedRoomId, OwnedEventId, OwnedRoomAliasId, OwnedServerName);

impl KeyPart for OwnedDeviceId {
    fn write(&self, w: &mut KeyWriter) {
        w.bytes(self.as_str().as_bytes());
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(r.string()?.into())
    }
}

impl KeyPart for OwnedMxcUri {
    fn write(&self, w: &mut KeyWriter) {
        w.bytes(self.as_str().as_bytes());
    }
    fn read(r: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        Ok(r.string()?.into())
    }
}

/// The leading parts of a key, for scans. Implemented for tuples of parts, in the order of the key's
/// fields; `()` is the whole table.
pub trait KeyPrefix {
    /// Writes the parts.
    fn write(&self, w: &mut KeyWriter);
}

impl KeyPrefix for () {
    fn write(&self, _w: &mut KeyWriter) {}
}

macro_rules! prefix_tuple {
    ($($name:ident . $index:tt),+) => {
        impl<$($name: KeyPart),+> KeyPrefix for ($($name,)+) {
            fn write(&self, w: &mut KeyWriter) {
                $( self.$index.write(w); )+
            }
        }
    };
}
prefix_tuple!(A.0);
prefix_tuple!(A.0, B.1);
prefix_tuple!(A.0, B.1, C.2);
prefix_tuple!(A.0, B.1, C.2, D.3);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(parts: &(String, u64)) -> Vec<u8> {
        let mut w = KeyWriter::new(Table::Meta);
        KeyPrefix::write(parts, &mut w);
        w.finish().bytes
    }

    proptest! {
        #[test]
        fn order_of_bytes_is_order_of_parts(a: (String, u64), b: (String, u64)) {
            let by_parts = a.0.as_bytes().cmp(b.0.as_bytes()).then(a.1.cmp(&b.1));
            prop_assert_eq!(encode(&a).cmp(&encode(&b)), by_parts);
        }

        #[test]
        fn parts_come_back(a: String, b: u64, c: Vec<u8>) {
            let mut w = KeyWriter::new(Table::Meta);
            (a.clone(), b, c.clone()).write(&mut w);
            let key = w.finish();
            let mut r = KeyReader::new(Table::Meta, &key.bytes).unwrap();
            prop_assert_eq!(String::read(&mut r).unwrap(), a);
            prop_assert_eq!(u64::read(&mut r).unwrap(), b);
            prop_assert_eq!(Vec::<u8>::read(&mut r).unwrap(), c);
            prop_assert!(r.end().is_ok());
        }

        #[test]
        fn reading_any_bytes_never_panics(bytes: Vec<u8>) {
            if let Ok(mut r) = KeyReader::new(Table::Meta, &bytes) {
                let _ = String::read(&mut r);
                let _ = Stamp::read(&mut r);
            }
        }
    }
}
