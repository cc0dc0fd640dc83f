//! Columns of ids, interned.

use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray, StringViewArray},
    datatypes::{
        ArrowPrimitiveType, DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type,
    },
};

use super::reasons::Reason;
use crate::ids::{Hashed, Interner, Place};

/// Ids looked up together: their slots fit the first-level cache.
const CHUNK: usize = 256;

/// Bytes of text that an arrow view holds itself.
const VIEW_INLINE: u32 = 12;

/// An id's place, or why it has none.
pub(super) type Found = Result<Place, Reason>;

/// The reasons that apply to one kind of id.
#[derive(Clone, Copy)]
pub(super) struct IdReasons {
    pub null: Reason,
    pub empty: Reason,
    pub overlong: Reason,
}

pub(super) const USER: IdReasons =
    IdReasons { null: Reason::NullUser, empty: Reason::EmptyUser, overlong: Reason::OverlongUser };
pub(super) const ITEM: IdReasons =
    IdReasons { null: Reason::NullItem, empty: Reason::EmptyItem, overlong: Reason::OverlongItem };

/// Interns the ids of one column, batch after batch.
pub(super) struct IdColumn {
    reasons: IdReasons,
    max_bytes: usize,
    /// The dictionary of the last batch (kept alive, so that its address stays its own) and the places of its values.
    dictionary: Option<(ArrayRef, Vec<Found>)>,
}

impl IdColumn {
    pub(super) fn new(reasons: IdReasons, max_bytes: usize) -> Self {
        Self { reasons, max_bytes, dictionary: None }
    }

    #[inline(always)]
    fn place(&self, id: &str, interner: &mut Interner) -> Found {
        if id.is_empty() {
            Err(self.reasons.empty)
        } else if id.len() > self.max_bytes {
            Err(self.reasons.overlong)
        } else {
            Ok(interner.intern(id))
        }
    }

    /// Writes the place of each row's id into `out`.
    pub(super) fn intern(&mut self, array: &ArrayRef, interner: &mut Interner, out: &mut Vec<Found>) {
        out.clear();
        out.reserve(array.len());
        match array.data_type() {
            DataType::Utf8View => self.views(array.as_string_view(), interner, out),
            DataType::Utf8 => self.text(array, array.as_string::<i32>().iter(), interner, out),
            DataType::LargeUtf8 => self.text(array, array.as_string::<i64>().iter(), interner, out),
            DataType::Binary => {
                let utf8 = array.as_binary::<i32>().iter().map(|id| id.and_then(|id| std::str::from_utf8(id).ok()));
                self.text(array, utf8, interner, out);
            }
            DataType::Dictionary(_, _) => self.dictionary(array.as_dictionary::<Int32Type>(), interner, out),
            DataType::Int8 => self.integers::<Int8Type>(array, interner, out),
            DataType::Int16 => self.integers::<Int16Type>(array, interner, out),
            DataType::Int32 => self.integers::<Int32Type>(array, interner, out),
            DataType::Int64 => self.integers::<Int64Type>(array, interner, out),
            DataType::UInt8 => self.integers::<UInt8Type>(array, interner, out),
            DataType::UInt16 => self.integers::<UInt16Type>(array, interner, out),
            DataType::UInt32 => self.integers::<UInt32Type>(array, interner, out),
            DataType::UInt64 => self.integers::<UInt64Type>(array, interner, out),
            other => unreachable!("columns of type {other} are refused with the schema"),
        }
    }

    /// Ids as views: those of up to 12 bytes stand in the view itself and are hashed without a look elsewhere.
    fn views(&self, array: &StringViewArray, interner: &mut Interner, out: &mut Vec<Found>) {
        let mut hashes = [Interner::hash(""); CHUNK];
        let views = array.views();
        for start in (0..views.len()).step_by(CHUNK) {
            let chunk = &views[start..(start + CHUNK).min(views.len())];
            let mut touched = 0u32;
            for (at, (view, hashed)) in chunk.iter().zip(&mut hashes).enumerate() {
                let len = *view as u32;
                *hashed = if len <= VIEW_INLINE {
                    Interner::hash_short((view >> 32).to_le_bytes(), len)
                } else {
                    Interner::hash(array.value(start + at))
                };
                touched = touched.wrapping_add(interner.touch(hashed));
            }
            std::hint::black_box(touched);
            if array.null_count() == 0 {
                out.extend(
                    (start..).zip(&hashes[..chunk.len()]).map(|(at, hashed)| self.found(array, at, *hashed, interner)),
                );
            } else {
                out.extend((start..).zip(&hashes[..chunk.len()]).map(|(at, hashed)| {
                    if array.is_null(at) { Err(self.reasons.null) } else { self.found(array, at, *hashed, interner) }
                }));
            }
        }
    }

    #[inline(always)]
    fn found(&self, array: &StringViewArray, at: usize, hashed: Hashed, interner: &mut Interner) -> Found {
        if hashed.is_empty() {
            Err(self.reasons.empty)
        } else if hashed.len() > self.max_bytes {
            Err(self.reasons.overlong)
        } else {
            Ok(interner.intern_hashed(hashed, || array.value(at)))
        }
    }

    fn text<'a>(
        &self,
        array: &ArrayRef,
        mut ids: impl Iterator<Item = Option<&'a str>>,
        interner: &mut Interner,
        out: &mut Vec<Found>,
    ) {
        debug_assert_eq!(ids.size_hint().0, array.len());
        let mut chunk: Vec<(Option<&str>, Hashed)> = Vec::with_capacity(CHUNK);
        loop {
            chunk.clear();
            chunk.extend(ids.by_ref().take(CHUNK).map(|id| (id, Interner::hash(id.unwrap_or_default()))));
            if chunk.is_empty() {
                return;
            }
            let touched = chunk.iter().fold(0u32, |sum, (_, hashed)| sum.wrapping_add(interner.touch(hashed)));
            std::hint::black_box(touched);
            out.extend(chunk.iter().map(|(id, hashed)| match id {
                None => Err(self.reasons.null),
                Some("") => Err(self.reasons.empty),
                Some(id) if id.len() > self.max_bytes => Err(self.reasons.overlong),
                Some(id) => Ok(interner.intern_hashed(*hashed, || id)),
            }));
        }
    }

    fn dictionary(&mut self, array: &DictionaryArray<Int32Type>, interner: &mut Interner, out: &mut Vec<Found>) {
        let values = array.values();
        if !self.dictionary.as_ref().is_some_and(|(known, _)| known.to_data().ptr_eq(&values.to_data())) {
            let text = values.as_string::<i32>();
            let places =
                text.iter().map(|id| id.map_or(Err(self.reasons.null), |id| self.place(id, interner))).collect();
            self.dictionary = Some((values.clone(), places));
        }
        let places = &self.dictionary.as_ref().expect("just set").1;
        if array.null_count() == 0 {
            out.extend(array.keys().values().iter().map(|&key| places[key as usize]));
        } else {
            out.extend(array.keys().iter().map(|key| key.map_or(Err(self.reasons.null), |key| places[key as usize])));
        }
    }

    fn integers<T: ArrowPrimitiveType>(&self, array: &ArrayRef, interner: &mut Interner, out: &mut Vec<Found>)
    where
        T::Native: itoa::Integer,
    {
        let mut digits = itoa::Buffer::new();
        out.extend(array.as_primitive::<T>().iter().map(|id| match id {
            Some(id) => Ok(interner.intern(digits.format(id))),
            None => Err(self.reasons.null),
        }));
    }
}
