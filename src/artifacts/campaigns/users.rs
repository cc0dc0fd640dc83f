//! A bucket's users as campaigns look at them, from the run's own files.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::{
        DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType, UInt8Type, UInt32Type,
        UInt64Type,
    },
};
use bytes::Bytes;
use hashbrown::HashMap;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{
    artifacts::{
        ArtifactError,
        parquet_io::{decode, next_batch},
    },
    campaigns::{
        BucketUsers, CART_ITEMS, CartItem, FAVOURITE_BRAND, FAVOURITE_CATEGORY, Lists, PairFacts, Pairs, Shop,
        UserTable,
    },
    ids::{IdNumbers, IdTable},
    interactions::{PairPurchases, Role, Stamp},
};

/// Rows decoded at once.
const BATCH_ROWS: usize = 32_768;

/// A file's bytes with its full name, for messages.
#[derive(Debug, Clone)]
pub struct FileBytes {
    /// The full name.
    pub path: PathBuf,
    /// The bytes.
    pub bytes: Bytes,
}

/// The files of one bucket; `None` for those that no campaign asks for.
#[derive(Debug, Clone)]
pub struct UserFiles {
    /// `profiles/`.
    pub profiles: FileBytes,
    /// `interactions/`.
    pub interactions: Option<FileBytes>,
    /// `recommendations/`.
    pub recommendations: Option<FileBytes>,
}

/// What of the profiles is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Columns that conditions or rules name, those made of lists included.
    pub columns: BTreeSet<String>,
    /// Carts.
    pub carts: bool,
    /// Favourite categories and brands.
    pub favourites: bool,
    /// Recommended items a user.
    pub n_recommended: usize,
}

/// Numbers of the shop's items, categories and brands by name, and the roles of event types.
pub struct UserIndex<'a> {
    shop: &'a Shop,
    items: IdNumbers,
    categories: HashMap<&'a str, u32>,
    brands: HashMap<&'a str, u32>,
    roles: Vec<(String, Role)>,
}

impl<'a> UserIndex<'a> {
    /// The index of a shop; `roles` are the event types by name.
    #[must_use]
    pub fn new(shop: &'a Shop, roles: Vec<(String, Role)>) -> Self {
        let number = |table: &'a IdTable| table.iter().zip(0u32..).collect::<HashMap<_, _>>();
        Self {
            shop,
            items: IdNumbers::of(&shop.items),
            categories: number(&shop.catalog.category_names),
            brands: number(&shop.catalog.brand_names),
            roles,
        }
    }
}

/// Reads a bucket's users.
///
/// # Errors
/// A file that is damaged, or holds other users than the profiles.
///
/// Cost: the decoded columns in memory.
pub fn read_users(files: &UserFiles, wanted: &Wanted, index: &UserIndex<'_>) -> Result<BucketUsers, ArtifactError> {
    let mut users = read_profiles(&files.profiles, wanted, index)?;
    if let Some(file) = &files.interactions {
        users.pairs = read_pairs(file, &users.ids, index)?;
    }
    if let Some(file) = &files.recommendations {
        users.recommendations = read_recommendations(file, &users.ids, index, wanted.n_recommended)?;
    }
    Ok(users)
}

/// The user ids of a bucket's profiles, ascending.
///
/// # Errors
/// A file that is damaged.
pub fn read_user_ids(file: &FileBytes) -> Result<IdTable, ArtifactError> {
    let mut ids = IdTable::new();
    for batch in batches(file, &|name| name == "user_id")? {
        let column = batch.column_by_name("user_id").and_then(|column| column.as_string_opt::<i32>());
        let column = column.ok_or_else(|| ArtifactError::damaged(&file.path, "its column `user_id` is no text"))?;
        column.iter().flatten().for_each(|id| ids.push(id));
    }
    Ok(ids)
}

/// All batches with the wanted columns.
fn batches(file: &FileBytes, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<RecordBatch>, ArtifactError> {
    let mut all = Vec::new();
    for_each_batch(file, wanted, "", &mut |batch| {
        all.push(batch.clone());
        Some(())
    })?;
    Ok(all)
}

/// Hands batches with the wanted columns to `each`, one after the other; `reason` says what is wrong where it refuses one.
fn for_each_batch(
    file: &FileBytes,
    wanted: &dyn Fn(&str) -> bool,
    reason: &str,
    each: &mut dyn FnMut(&RecordBatch) -> Option<()>,
) -> Result<(), ArtifactError> {
    let mut reader = decode(&file.path, || {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone())?;
        let names: Vec<&str> = builder.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let roots = names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|(at, _)| at).collect::<Vec<_>>();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()
    })?;
    while let Some(batch) = next_batch(&file.path, &mut reader)? {
        each(&batch).ok_or_else(|| ArtifactError::damaged(&file.path, reason))?;
    }
    Ok(())
}

fn read_profiles(file: &FileBytes, wanted: &Wanted, index: &UserIndex<'_>) -> Result<BucketUsers, ArtifactError> {
    let asks = |name: &str| wanted.columns.iter().any(|column| column == name);
    let made_of_cart = wanted.carts || asks(CART_ITEMS);
    let category = wanted.favourites || asks(FAVOURITE_CATEGORY) || asks("favourite_category_share");
    let brand = wanted.favourites || asks(FAVOURITE_BRAND) || asks("favourite_brand_share");
    let all = batches(file, &|name| match name {
        "user_id" => true,
        "cart" => made_of_cart,
        "favourite_categories" => category,
        "favourite_brands" => brand,
        _ => asks(name),
    })?;
    let mut ids = IdTable::new();
    let mut carts = Lists::default();
    let mut favourites = [Lists::default(), Lists::default()];
    // The first favourite by name: the shop's catalogue may have forgotten the name, the profile has not.
    let mut firsts: [Vec<Option<(String, f64)>>; 2] = [Vec::new(), Vec::new()];
    let mut n_carted = Vec::new();
    for batch in &all {
        let damaged = || ArtifactError::damaged(&file.path, "a column has another type than it should");
        let users = batch.column_by_name("user_id").and_then(|column| column.as_string_opt::<i32>());
        users.ok_or_else(damaged)?.iter().flatten().for_each(|id| ids.push(id));
        if let Some(column) = batch.column_by_name("cart") {
            add_carts(column, index, &mut carts, &mut n_carted).ok_or_else(damaged)?;
        }
        for (which, (list, key, numbers)) in
            [("favourite_categories", "category", &index.categories), ("favourite_brands", "brand", &index.brands)]
                .into_iter()
                .enumerate()
        {
            if let Some(column) = batch.column_by_name(list) {
                add_favourites(column, key, numbers, &mut favourites[which], &mut firsts[which]).ok_or_else(damaged)?;
            }
        }
    }
    let as_of = index.shop.as_of.map(Stamp::unix);
    let mut table = UserTable::new(ids.len(), as_of);
    let failed = |error| ArtifactError::damaged(&file.path, error);
    for name in &wanted.columns {
        let parts: Option<Vec<&ArrayRef>> = all.iter().map(|batch| batch.column_by_name(name)).collect();
        if let Some(parts) = parts.filter(|parts| !parts.is_empty()) {
            put_column(&mut table, name, &parts).map_err(failed)?;
        }
    }
    if asks(CART_ITEMS) && n_carted.len() == ids.len() {
        table.put_numbers(CART_ITEMS, n_carted.iter().map(|n| Some(*n))).map_err(failed)?;
    }
    let [categories, brands] = &firsts;
    for (firsts, name, share) in [
        (categories, FAVOURITE_CATEGORY, "favourite_category_share"),
        (brands, FAVOURITE_BRAND, "favourite_brand_share"),
    ] {
        if firsts.len() == ids.len() {
            let names = firsts.iter().map(|first| first.as_ref().map(|(name, _)| name.as_str()));
            table.put_texts(name, names).map_err(failed)?;
            table.put_numbers(share, firsts.iter().map(|first| first.as_ref().map(|(_, x)| *x))).map_err(failed)?;
        }
    }
    let [favourite_categories, favourite_brands] = favourites;
    Ok(BucketUsers { ids, table, carts, favourite_categories, favourite_brands, ..BucketUsers::default() })
}

fn number(column: &ArrayRef, row: usize) -> Option<f64> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::UInt8 => f64::from(column.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt32 => f64::from(column.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row) as f64,
        DataType::Int32 => f64::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
        DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row),
        _ => return None,
    })
}

fn put_column(table: &mut UserTable, name: &str, parts: &[&ArrayRef]) -> Result<(), crate::campaigns::CampaignError> {
    let rows = || parts.iter().flat_map(|part| (0..part.len()).map(move |row| (*part, row)));
    match parts[0].data_type() {
        DataType::Utf8 => table.put_texts(name, parts.iter().flat_map(|part| part.as_string::<i32>().iter())),
        DataType::Boolean => table.put_booleans(name, parts.iter().flat_map(|part| part.as_boolean().iter())),
        DataType::Timestamp(..) => table.put_instants(
            name,
            parts
                .iter()
                .flat_map(|part| part.as_primitive::<TimestampMillisecondType>().iter())
                .map(|at| at.map(|at| at.div_euclid(1_000))),
        ),
        _ => table.put_numbers(name, rows().map(|(part, row)| number(part, row))),
    }
}

fn add_carts(
    column: &ArrayRef,
    index: &UserIndex<'_>,
    carts: &mut Lists<CartItem>,
    n_carted: &mut Vec<f64>,
) -> Option<()> {
    let lists = column.as_list_opt::<i32>()?;
    let entries = lists.values().as_struct_opt()?;
    let items = entries.column_by_name("item_id")?.as_string_opt::<i32>()?;
    let added = entries.column_by_name("added_at")?.as_primitive_opt::<TimestampMillisecondType>()?;
    let quantities: &ArrayRef = entries.column_by_name("quantity")?;
    for window in lists.offsets().windows(2) {
        let range = window[0] as usize..window[1] as usize;
        n_carted.push(range.len() as f64);
        carts.push(range.filter_map(|at| {
            let item = index.items.find(items.value(at))?;
            let added = added.is_valid(at).then(|| Stamp::from_unix(added.value(at).div_euclid(1_000))).flatten()?;
            Some(CartItem { item, added, quantity: number(quantities, at)? })
        }));
    }
    Some(())
}

fn add_favourites(
    column: &ArrayRef,
    key: &str,
    numbers: &HashMap<&str, u32>,
    favourites: &mut Lists<(u32, f32)>,
    firsts: &mut Vec<Option<(String, f64)>>,
) -> Option<()> {
    let lists = column.as_list_opt::<i32>()?;
    let entries = lists.values().as_struct_opt()?;
    let names = entries.column_by_name(key)?.as_string_opt::<i32>()?;
    let shares = entries.column_by_name("share")?.as_primitive_opt::<Float32Type>()?;
    for window in lists.offsets().windows(2) {
        let range = window[0] as usize..window[1] as usize;
        let first = range.clone().next().map(|at| (names.value(at).to_owned(), f64::from(shares.value(at))));
        firsts.push(first);
        favourites.push(range.filter_map(|at| Some((*numbers.get(names.value(at))?, shares.value(at)))));
    }
    Some(())
}

/// Pairs lie in the order of users; items that are neither in the model nor in the catalogue are left out.
fn read_pairs(file: &FileBytes, ids: &IdTable, index: &UserIndex<'_>) -> Result<Pairs, ArtifactError> {
    let mut pairs = Pairs { indptr: vec![0], ..Pairs::default() };
    let mut user = 0;
    let mut numbers = ItemNumbers::default();
    let reason = "a column is absent or of another type, or a user is not among the profiles";
    for_each_batch(file, &|name| name != "excluded", reason, &mut |batch| {
        add_pairs(batch, ids, index, &mut numbers, &mut user, &mut pairs)
    })?;
    while pairs.indptr.len() <= ids.len() {
        pairs.indptr.push(pairs.items.len());
    }
    Ok(pairs)
}

/// The shop's numbers of the items of a dictionary. All batches of a row group have one dictionary, whose items are looked
/// up together.
#[derive(Default)]
struct ItemNumbers {
    names: Option<StringArray>,
    numbers: Vec<Option<u32>>,
}

impl ItemNumbers {
    /// Those of the next batch's dictionary.
    fn of(&mut self, names: &StringArray, index: &UserIndex<'_>) -> &[Option<u32>] {
        let same = |before: &StringArray| {
            before.offsets().inner().ptr_eq(names.offsets().inner()) && before.values().ptr_eq(names.values())
        };
        if !self.names.as_ref().is_some_and(same) {
            self.numbers.clear();
            let ids: Vec<&str> = (0..names.len()).map(|at| names.value(at)).collect();
            index.items.find_all(&ids, &mut self.numbers);
            // Kept, so that its memory cannot become another dictionary's.
            self.names = Some(names.clone());
        }
        &self.numbers
    }
}

fn add_pairs(
    batch: &RecordBatch,
    ids: &IdTable,
    index: &UserIndex<'_>,
    numbers: &mut ItemNumbers,
    user: &mut usize,
    pairs: &mut Pairs,
) -> Option<()> {
    let users = batch.column_by_name("user_id")?.as_dictionary_opt::<UInt32Type>()?;
    let user_names = users.values().as_string_opt::<i32>()?;
    let items = batch.column_by_name("item_id")?.as_dictionary_opt::<UInt32Type>()?;
    let numbers = numbers.of(items.values().as_string_opt::<i32>()?, index);
    let weights = batch.column_by_name("weight")?.as_primitive_opt::<Float64Type>()?;
    let millis = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<TimestampMillisecondType>()?.clone());
    let last = millis("last_at")?;
    let first_bought = millis("first_purchase_at")?;
    let last_bought = millis("last_purchase_at")?;
    let days = batch.column_by_name("purchase_days")?.as_primitive_opt::<UInt32Type>()?;
    let of_role = |role: Role| -> Option<Vec<Arc<dyn Array>>> {
        let kinds = index.roles.iter().filter(|(_, is)| *is == role);
        kinds.map(|(name, _)| batch.column_by_name(&format!("n_{name}")).cloned()).collect()
    };
    let (views, carts) = (of_role(Role::View)?, of_role(Role::Cart)?);
    let (purchases, refunds) = (of_role(Role::Purchase)?, of_role(Role::Refund)?);
    let sum = |columns: &[Arc<dyn Array>], row: usize| -> u32 {
        columns.iter().map(|column| column.as_primitive::<UInt32Type>().value(row)).sum()
    };
    let stamp = |column: &arrow::array::TimestampMillisecondArray, row: usize| {
        column.is_valid(row).then(|| Stamp::from_unix(column.value(row).div_euclid(1_000))).flatten()
    };
    let mut known: Option<u32> = None;
    for row in 0..batch.num_rows() {
        let key = users.keys().value(row);
        if known != Some(key) {
            let name = user_names.value(key as usize);
            while ids.len() > *user && ids.get(*user) != name {
                pairs.indptr.push(pairs.items.len());
                *user += 1;
            }
            if *user == ids.len() {
                return None;
            }
            known = Some(key);
        }
        let key = items.keys().value(row) as usize;
        let Some(item) = numbers[key] else { continue };
        let bought = PairPurchases {
            first: stamp(&first_bought, row).unwrap_or_default(),
            last: stamp(&last_bought, row).unwrap_or_default(),
            days: days.value(row),
        };
        pairs.items.push(item);
        pairs.facts.push(PairFacts {
            weight: weights.value(row) as f32,
            last: stamp(&last, row),
            views: sum(&views, row),
            carts: sum(&carts, row),
            purchases: sum(&purchases, row),
            refunds: sum(&refunds, row),
            bought,
        });
    }
    Some(())
}

fn read_recommendations(
    file: &FileBytes,
    ids: &IdTable,
    index: &UserIndex<'_>,
    n_items: usize,
) -> Result<Lists<(u32, f32)>, ArtifactError> {
    let mut lists = Lists::default();
    let mut user = 0;
    let reason = "a column is absent or of another type";
    for_each_batch(file, &|name| name != "source", reason, &mut |batch| {
        add_recommendations(batch, ids, index, n_items, &mut user, &mut lists)
    })?;
    while user < ids.len() {
        lists.push([]);
        user += 1;
    }
    Ok(lists)
}

fn add_recommendations(
    batch: &RecordBatch,
    ids: &IdTable,
    index: &UserIndex<'_>,
    n_items: usize,
    user: &mut usize,
    lists: &mut Lists<(u32, f32)>,
) -> Option<()> {
    let keys = batch.column_by_name("user_id")?.as_string_opt::<i32>()?;
    let column = batch.column_by_name("items")?.as_list_opt::<i32>()?;
    let entries = column.values().as_struct_opt()?;
    let items = entries.column_by_name("item_id")?.as_string_opt::<i32>()?;
    let scores = entries.column_by_name("score")?.as_primitive_opt::<Float32Type>()?;
    for (row, window) in column.offsets().windows(2).enumerate() {
        while ids.len() > *user && ids.get(*user) < keys.value(row) {
            lists.push([]);
            *user += 1;
        }
        if ids.len() == *user || ids.get(*user) != keys.value(row) {
            continue;
        }
        let range = window[0] as usize..window[1] as usize;
        // What may be sold is decided by the rules that made the list.
        let known = range.filter_map(|at| Some((index.items.find(items.value(at))?, scores.value(at))));
        lists.push(known.take(n_items));
        *user += 1;
    }
    Some(())
}
