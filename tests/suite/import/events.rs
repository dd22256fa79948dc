//! Event files as TensorFlow writes them, and as nobody should.

pub fn record(data: &[u8]) -> Vec<u8> {
    [&head(data.len() as u64)[..], data, &masked(data)].concat()
}

/// The head of a record of this length, sound whether or not so much follows.
pub fn head(length: u64) -> Vec<u8> {
    let length = length.to_le_bytes();
    [&length[..], &masked(&length)].concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    let crc = !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    });
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub fn integer(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

pub fn double(number: u64, value: f64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

pub fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

pub fn event(time: f64, step: i64, values: &[Vec<u8>]) -> Vec<u8> {
    let summary: Vec<u8> = values.iter().flat_map(|value| bytes(1, value)).collect();
    [double(1, time), integer(2, step as u64), bytes(5, &summary)].concat()
}

pub fn scalar(tag: &str, value: f32) -> Vec<u8> {
    [bytes(1, tag.as_bytes()), varint(2 << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

pub fn tensor(tag: &str, plugin: &str, tensor: &[u8]) -> Vec<u8> {
    let metadata = bytes(9, &bytes(1, &bytes(1, plugin.as_bytes())));
    [bytes(1, tag.as_bytes()), bytes(8, tensor), metadata].concat()
}

pub fn image(tag: &str, encoded: &[u8]) -> Vec<u8> {
    [bytes(1, tag.as_bytes()), bytes(4, &bytes(4, encoded))].concat()
}

pub fn histogram(tag: &str, most: f64) -> Vec<u8> {
    let buckets = [double(1, 0.0), double(2, most), double(6, most), double(7, 8.0)].concat();
    [bytes(1, tag.as_bytes()), bytes(5, &buckets)].concat()
}

/// A PNG of one gray pixel, of sides as its head says them.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let named = [kind, data].concat();
        let crc = !named.iter().fold(u32::MAX, |crc, byte| {
            let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            (0..8).fold(crc ^ u32::from(*byte), step)
        });
        [&(data.len() as u32).to_be_bytes()[..], &named, &crc.to_be_bytes()].concat()
    };
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    // Stored, not deflated: one line of one pixel.
    let line = [0x78, 1, 1, 2, 0, 0xfd, 0xff, 0, 7, 0, 0x09, 0, 8];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &head), chunk(b"IDAT", &line), chunk(b"IEND", &[])]
        .concat()
}

/// A step at which everything is logged that has a place.
pub fn of_everything(step: i64) -> Vec<u8> {
    let mut values = vec![scalar("loss", 1.0 / (step + 1) as f32), histogram("weights", step as f64 + 1.0)];
    if step % 10 == 0 {
        values.push(image("digits", &png(1, 1)));
        values.push(image("faces", &png(1, 1)));
        values.push(tensor("said", "text", &[integer(1, 7), bytes(8, b"To be")].concat()));
    }
    event(1.7e9 + step as f64, step, &values)
}
