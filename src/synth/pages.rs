//! Parquet pages with checksums.
//!
//! The `parquet` crate (60.1) checks page CRCs when it reads but cannot write them: its own page writer leaves the field
//! empty. The page writer here is the same but for that field.

use parquet::{
    basic::{Encoding, PageType},
    column::page::{CompressedPage, Page, PageWriteSpec, PageWriter},
    errors::{ParquetError, Result},
};

/// Appends the pages of one column chunk to `bytes`, each with the CRC-32 of its compressed data.
#[derive(Debug)]
pub(crate) struct CheckedPages<'a> {
    pub(crate) bytes: &'a mut Vec<u8>,
}

impl PageWriter for CheckedPages<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let offset = self.bytes.len();
        write_header(&page, self.bytes)?;
        let header_size = self.bytes.len() - offset;
        self.bytes.extend_from_slice(page.data());
        let mut spec = PageWriteSpec::new();
        spec.page_type = page.page_type();
        spec.uncompressed_size = page.uncompressed_size() + header_size;
        spec.compressed_size = page.compressed_size() + header_size;
        spec.num_values = page.num_values();
        spec.offset = offset as u64;
        spec.bytes_written = (self.bytes.len() - offset) as u64;
        Ok(spec)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes a `PageHeader` of parquet.thrift in Thrift's compact protocol. Page statistics are left out: nobody makes any.
fn write_header(page: &CompressedPage, out: &mut Vec<u8>) -> Result<()> {
    let int = |size: usize| i32::try_from(size).map_err(|_| ParquetError::General(format!("page of {size} bytes")));
    let mut header = Struct::new(out);
    let kind = match page.page_type() {
        PageType::DATA_PAGE => 0,
        PageType::DICTIONARY_PAGE => 2,
        other => return Err(ParquetError::NYI(format!("pages of type {other}"))),
    };
    header.i32(1, kind);
    header.i32(2, int(page.uncompressed_size())?);
    header.i32(3, int(page.compressed_size())?);
    header.i32(4, crc32fast::hash(page.data()) as i32);
    let num_values = int(page.num_values() as usize)?;
    match page.compressed_page() {
        Page::DataPage { encoding, def_level_encoding, rep_level_encoding, .. } => {
            let mut data = header.nested(5);
            data.i32(1, num_values);
            data.i32(2, code(*encoding)?);
            data.i32(3, code(*def_level_encoding)?);
            data.i32(4, code(*rep_level_encoding)?);
            data.end();
        }
        Page::DictionaryPage { encoding, is_sorted, .. } => {
            let mut dictionary = header.nested(7);
            dictionary.i32(1, num_values);
            dictionary.i32(2, code(*encoding)?);
            dictionary.bool(3, *is_sorted);
            dictionary.end();
        }
        Page::DataPageV2 { .. } => return Err(ParquetError::NYI("data pages of version 2".to_owned())),
    }
    header.end();
    Ok(())
}

/// The number of an encoding in parquet.thrift.
fn code(encoding: Encoding) -> Result<i32> {
    Ok(match encoding {
        Encoding::PLAIN => 0,
        Encoding::PLAIN_DICTIONARY => 2,
        Encoding::RLE => 3,
        Encoding::DELTA_BINARY_PACKED => 5,
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 6,
        Encoding::DELTA_BYTE_ARRAY => 7,
        Encoding::RLE_DICTIONARY => 8,
        Encoding::BYTE_STREAM_SPLIT => 9,
        other => return Err(ParquetError::NYI(format!("encoding {other}"))),
    })
}

/// A struct in Thrift's compact protocol: fields in ascending order, each as the distance from the one before.
struct Struct<'a> {
    out: &'a mut Vec<u8>,
    last: u8,
}

impl<'a> Struct<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, last: 0 }
    }

    fn field(&mut self, id: u8, kind: u8) {
        self.out.push(((id - self.last) << 4) | kind);
        self.last = id;
    }

    fn i32(&mut self, id: u8, value: i32) {
        self.field(id, 5);
        // Zigzag, then seven bits a byte.
        let mut rest = ((value << 1) ^ (value >> 31)) as u32;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    fn bool(&mut self, id: u8, value: bool) {
        self.field(id, if value { 1 } else { 2 });
    }

    fn nested(&mut self, id: u8) -> Struct<'_> {
        self.field(id, 12);
        Struct::new(self.out)
    }

    fn end(self) {
        self.out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header byte for byte, worked by hand from the specification of the compact protocol.
    #[test]
    fn a_data_page_header_is_as_the_specification_says() {
        let page = Page::DataPage {
            buf: b"123456789".to_vec().into(),
            num_values: 300,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let mut bytes = Vec::new();
        let spec = CheckedPages { bytes: &mut bytes }.write_page(CompressedPage::new(page, 70)).unwrap();
        // CRC-32 of "123456789" is 0xCBF43926 by the catalogue of CRCs: as i32 -873187034, zigzag 0x68178DB3.
        let header = [
            0x15, 0x00, // 1: data page
            0x15, 0x8C, 0x01, // 2: 70
            0x15, 0x12, // 3: 9
            0x15, 0xB3, 0x9B, 0xDE, 0xC0, 0x06, // 4: the CRC
            0x1C, 0x15, 0xD8, 0x04, 0x15, 0x10, 0x15, 0x06, 0x15, 0x06, 0x00, // 5: 300 values, encodings 8, 3, 3
            0x00,
        ];
        assert_eq!(bytes, [&header[..], b"123456789"].concat());
        assert_eq!((spec.bytes_written, spec.uncompressed_size), (bytes.len() as u64, 70 + header.len()));
    }
}
