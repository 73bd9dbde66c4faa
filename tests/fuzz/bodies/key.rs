//! The codec of keys: the order of bytes is the order of parts.

use pli_schema::{
    Key, KeyReader, KeyWriter, Table,
    records::rooms::{AnnotationKey, EventByIdKey, MemberKey, RelationKey, TimelineKey},
};

fn encoded(a: &[u8], number: u64, b: &[u8]) -> Vec<u8> {
    let mut w = KeyWriter::new(Table::Meta);
    w.bytes(a);
    w.u64(number);
    w.bytes(b);
    w.finish().bytes
}

/// Bytes that decode to a key encode to the same bytes.
fn there_and_back<K: Key>(data: &[u8]) {
    let mut bytes = vec![K::TABLE as u8];
    bytes.extend_from_slice(data);
    if let Ok(key) = K::decode(&bytes) {
        assert_eq!(key.encode().bytes, bytes);
    }
}

/// Nothing panics; parts come back as they went in; keys sort as their parts do.
pub fn run(data: &[u8]) {
    there_and_back::<TimelineKey>(data);
    there_and_back::<MemberKey>(data);
    there_and_back::<EventByIdKey>(data);
    there_and_back::<RelationKey>(data);
    there_and_back::<AnnotationKey>(data);

    let (half, rest) = data.split_at(data.len() / 2);
    let (quarter, half) = half.split_at(half.len() / 2);
    let (third, fourth) = rest.split_at(rest.len() / 2);
    let (x, y) = (u64::from(data.first().copied().unwrap_or(0)), data.len() as u64);
    let (left, right) = ((quarter, x, half), (third, y, fourth));
    let (left_key, right_key) =
        (encoded(left.0, left.1, left.2), encoded(right.0, right.1, right.2));
    assert_eq!(left.cmp(&right), left_key.cmp(&right_key));

    let mut reader = KeyReader::new(Table::Meta, &left_key).expect("its table");
    assert_eq!(reader.bytes().as_deref(), Ok(left.0));
    assert_eq!(reader.u64(), Ok(left.1));
    assert_eq!(reader.bytes().as_deref(), Ok(left.2));
    assert_eq!(reader.end(), Ok(()));
}
