//! Which group a row belongs to: keys get numbers, from 0, in order of appearance.
//!
//! A key is looked up as bytes (see `key`), without an allocation where it is known. Where the only key column is
//! dictionary-encoded, each code is looked up once for as long as batches share their dictionary, and rows cost an
//! index into a table.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, PrimitiveArray, StringArray, downcast_dictionary_array};
use arrow_buffer::ArrowNativeType;
use hashbrown::{DefaultHashBuilder, HashTable};
use modrun_core::{Result, Type};

use super::key;
use super::mistyped;
use modrun_core::value::Column;

/// All keys so far.
pub(crate) struct Groups {
    types: Vec<Type>,
    keys: Keys,
    codes: Codes,
    /// The buffer that [`Groups::of_rows`] fills next.
    ids: Vec<u32>,
}

impl Groups {
    pub(crate) fn new(types: Vec<Type>) -> Self {
        Self { types, keys: Keys::default(), codes: Codes::default(), ids: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.ends.len()
    }

    /// The group of each row, new ones included. Give the buffer back to [`Groups::recycle`].
    pub(crate) fn of_rows(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        ids.reserve(rows);
        match columns {
            [] => ids.resize(rows, self.keys.group(&[])),
            [column] if column.as_any_dictionary_opt().is_some() => {
                downcast_dictionary_array! {
                    column => self.codes.look_up(column.keys(), column.values(), &mut self.keys, &mut ids),
                    _ => return Err(mistyped()),
                }
            }
            _ => self.look_up(columns, rows, &mut ids)?,
        }
        Ok(ids)
    }

    pub(crate) fn recycle(&mut self, ids: Vec<u32>) {
        self.ids = ids;
    }

    /// The group of a key that is already bytes.
    pub(crate) fn group(&mut self, key: &[u8]) -> u32 {
        self.keys.group(key)
    }

    /// All groups in the order of their keys.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = (0..self.len() as u32).collect();
        ids.sort_unstable_by_key(|id| self.keys.get(*id));
        ids
    }

    /// The key columns of some groups.
    pub(crate) fn decode(&self, ids: &[u32]) -> Vec<ArrayRef> {
        let mut keys: Vec<&[u8]> = ids.iter().map(|id| self.keys.get(*id)).collect();
        self.types.iter().map(|key_type| key::read_column(*key_type, &mut keys)).collect()
    }

    fn look_up(&mut self, columns: &[ArrayRef], rows: usize, ids: &mut Vec<u32>) -> Result<()> {
        let typed = columns.iter().zip(&self.types);
        let columns = typed
            .map(|(column, key_type)| Column::of_type(column, *key_type).ok_or_else(mistyped))
            .collect::<Result<Vec<_>>>()?;
        let mut key = Vec::new();
        for row in 0..rows {
            key.clear();
            columns.iter().for_each(|column| key::write_key(column, row, &mut key));
            ids.push(self.keys.group(&key));
        }
        Ok(())
    }
}

/// The keys, one after the other, and where to find each.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Keys {
    #[inline]
    fn group(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        match self.index.find(hash, |id| key_of(&self.bytes, &self.ends, *id) == key) {
            Some(id) => *id,
            None => self.insert(hash, key),
        }
    }

    #[cold]
    fn insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        let id = u32::try_from(self.ends.len()).expect("memory ends before 2^32 groups");
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.insert_unique(hash, id, |id| hasher.hash_one(key_of(bytes, ends, *id)));
        id
    }

    fn get(&self, id: u32) -> &[u8] {
        key_of(&self.bytes, &self.ends, id)
    }
}

#[inline]
fn key_of<'a>(bytes: &'a [u8], ends: &[usize], id: u32) -> &'a [u8] {
    let id = id as usize;
    let from = if id == 0 { 0 } else { ends[id - 1] };
    &bytes[from..ends[id]]
}

/// The groups of a dictionary's codes.
#[derive(Default)]
struct Codes {
    /// Held, so that no other dictionary can lie at the same address.
    dictionary: Option<ArrayRef>,
    /// The group of each code, or [`Codes::UNKNOWN`] until a row has it: a value without rows is no group.
    groups: Vec<u32>,
}

impl Codes {
    const UNKNOWN: u32 = u32::MAX;

    fn look_up<K: ArrowDictionaryKeyType>(
        &mut self,
        codes: &PrimitiveArray<K>,
        dictionary: &ArrayRef,
        keys: &mut Keys,
        ids: &mut Vec<u32>,
    ) {
        if !self
            .dictionary
            .as_ref()
            .is_some_and(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(dictionary)))
        {
            self.groups.clear();
            self.groups.resize(dictionary.len(), Self::UNKNOWN);
            self.dictionary = Some(dictionary.clone());
        }
        let strings = dictionary.as_string::<i32>();
        if codes.null_count() == 0 {
            ids.extend(codes.values().iter().map(|code| self.group(code.as_usize(), strings, keys)));
            return;
        }
        let mut null = None;
        ids.extend(codes.iter().map(|code| match code {
            Some(code) => self.group(code.as_usize(), strings, keys),
            None => *null.get_or_insert_with(|| group_of(None, keys)),
        }));
    }

    #[inline]
    fn group(&mut self, code: usize, strings: &StringArray, keys: &mut Keys) -> u32 {
        let known = self.groups[code];
        if known != Self::UNKNOWN {
            return known;
        }
        self.groups[code] = group_of(strings.is_valid(code).then(|| strings.value(code)), keys);
        self.groups[code]
    }
}

#[cold]
fn group_of(text: Option<&str>, keys: &mut Keys) -> u32 {
    let mut key = Vec::new();
    key::write_string(text, &mut key);
    keys.group(&key)
}
