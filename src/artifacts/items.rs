//! `items/`: what a run knows of its items, so that questions need neither the catalogue nor the events.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, RecordBatch, StringArray, UInt32Array},
    datatypes::{DataType, Field, Float32Type, Float64Type, Schema, UInt32Type},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{ids::IdTable, recommendations::Catalog};

use super::{
    ArtifactError, FileEntry, HashingFile, ReadFiles, Run,
    list_writer::strings,
    parquet_io::{RowFile, decode, next_batch},
};

/// The file of the items.
pub const ITEMS: &str = "items/items.parquet";

/// The items of a run, by `ItemIdx`.
#[derive(Debug, Clone, Default)]
pub struct ItemTable {
    /// Ids, ascending.
    pub ids: IdTable,
    /// What the catalogue says of them.
    pub catalog: Catalog,
    /// Distinct users with an interaction.
    pub n_users: Vec<u32>,
    /// Sum of the weights of all users.
    pub popularity: Vec<f32>,
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("item_id", DataType::Utf8, false),
        Field::new("title", DataType::Utf8, false),
        Field::new("category", DataType::Utf8, true),
        Field::new("brand", DataType::Utf8, true),
        Field::new("price", DataType::Float64, true),
        Field::new("available", DataType::Boolean, false),
        Field::new("listed", DataType::Boolean, false),
        Field::new("n_users", DataType::UInt32, false),
        Field::new("popularity", DataType::Float32, false),
    ])
}

fn names(numbers: &[Option<u32>], table: &IdTable) -> ArrayRef {
    Arc::new(StringArray::from_iter(numbers.iter().map(|number| number.map(|number| table.get(number as usize)))))
}

/// Writes the items: `item_id`, `title`, `category`, `brand`, `price`, `available`, `listed` (in the catalogue), `n_users`,
/// `popularity`.
///
/// # Errors
/// When the disk refuses.
pub fn write_items(file: HashingFile, table: &ItemTable) -> Result<FileEntry, ArtifactError> {
    let path = file.path().to_owned();
    let schema = Arc::new(schema());
    let mut rows = RowFile::create(file, Arc::clone(&schema), "item_id", &[&["category"], &["brand"]])?;
    let catalog = &table.catalog;
    let ids: Vec<&str> = table.ids.iter().collect();
    let titles: Vec<&str> = catalog.titles.iter().map(String::as_str).collect();
    let batch = strings(&ids)
        .and_then(|ids| {
            let columns: Vec<ArrayRef> = vec![
                ids,
                strings(&titles)?,
                names(&catalog.categories, &catalog.category_names),
                names(&catalog.brands, &catalog.brand_names),
                Arc::new(Float64Array::from(catalog.prices.clone())),
                Arc::new(BooleanArray::from(catalog.available.clone())),
                Arc::new(BooleanArray::from(catalog.listed.clone())),
                Arc::new(UInt32Array::from(table.n_users.clone())),
                Arc::new(Float32Array::from(table.popularity.clone())),
            ];
            RecordBatch::try_new(schema, columns)
        })
        .map_err(|error| ArtifactError::Encode { path, source: error.into() })?;
    rows.write(&batch)?;
    rows.finish()
}

/// The file of the shop's whole assortment, that of the catalogue included, in runs with campaigns: what later runs
/// compare prices and availability with.
pub const ASSORTMENT: &str = "assortment/items.parquet";

impl Run {
    /// Reads the items of the run.
    ///
    /// # Errors
    /// When the file is absent or damaged.
    pub fn items(&self) -> Result<ItemTable, ArtifactError> {
        read_items(self, ITEMS)
    }

    /// Reads the assortment, `None` where the run has none.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn assortment(&self) -> Result<Option<ItemTable>, ArtifactError> {
        self.manifest().file(ASSORTMENT).map(|_| read_items(self, ASSORTMENT)).transpose()
    }
}

/// Reads what [`write_items`] wrote.
///
/// # Errors
/// When the file is absent or damaged.
pub fn read_items(files: &dyn ReadFiles, path: &str) -> Result<ItemTable, ArtifactError> {
    let bytes = files.read(path)?;
    let path = files.name_of(path);
    let mut reader = decode(&path, || ParquetRecordBatchReaderBuilder::try_new(bytes)?.build())?;
    let mut columns = Columns::default();
    while let Some(batch) = next_batch(&path, &mut reader)? {
        columns.add(&batch).ok_or_else(|| ArtifactError::damaged(&path, "a column is absent or of another type"))?;
    }
    Ok(columns.finish())
}

#[derive(Default)]
struct Columns {
    table: ItemTable,
    categories: Vec<Option<String>>,
    brands: Vec<Option<String>>,
}

impl Columns {
    fn add(&mut self, batch: &RecordBatch) -> Option<()> {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let flags = |name: &str| batch.column_by_name(name)?.as_boolean_opt();
        let owned =
            |array: &StringArray| -> Vec<Option<String>> { array.iter().map(|name| name.map(str::to_owned)).collect() };
        let catalog = &mut self.table.catalog;
        text("item_id")?.iter().flatten().for_each(|id| self.table.ids.push(id));
        catalog.titles.extend(text("title")?.iter().map(|title| title.unwrap_or_default().to_owned()));
        self.categories.extend(owned(text("category")?));
        self.brands.extend(owned(text("brand")?));
        let prices = batch.column_by_name("price")?.as_primitive_opt::<Float64Type>()?;
        catalog.prices.extend(prices.iter());
        catalog.available.extend(flags("available")?.iter().map(|flag| flag.unwrap_or_default()));
        catalog.listed.extend(flags("listed")?.iter().map(|flag| flag.unwrap_or_default()));
        let n_users = batch.column_by_name("n_users")?.as_primitive_opt::<UInt32Type>()?;
        self.table.n_users.extend(n_users.values());
        let popularity = batch.column_by_name("popularity")?.as_primitive_opt::<Float32Type>()?;
        self.table.popularity.extend(popularity.values());
        Some(())
    }

    fn finish(mut self) -> ItemTable {
        let catalog = &mut self.table.catalog;
        (catalog.category_names, catalog.categories) = number(&self.categories);
        (catalog.brand_names, catalog.brands) = number(&self.brands);
        // Without a catalogue every item is listed and nothing else is known: the rules come out the same either way.
        catalog.present = true;
        self.table
    }
}

/// Ascending names and the number of each row's name.
fn number(names: &[Option<String>]) -> (IdTable, Vec<Option<u32>>) {
    let mut distinct: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let table: IdTable = distinct.into_iter().collect();
    let numbers =
        names.iter().map(|name| name.as_ref().and_then(|name| table.position(name)).map(|at| at as u32)).collect();
    (table, numbers)
}
