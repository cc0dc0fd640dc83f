//! Finding the configured columns in a file's schema.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::{
    arrow::{ProjectionMask, parquet_to_arrow_schema},
    basic::Encoding,
    file::metadata::{ParquetMetaData, RowGroupMetaData},
};

use super::{
    EventsError,
    config::{Need, ResolvedNames, TimestampUnit},
};

/// The columns of one file that are read, each as the path of names that leads to it.
#[derive(Debug, Clone)]
pub(super) struct FileColumns {
    pub user_id: Column,
    pub item_id: Column,
    pub event_type: Option<Column>,
    pub timestamp: Option<Column>,
    pub event_id: Option<Column>,
    pub quantity: Option<Column>,
    pub price: Option<Column>,
    /// The session of an event, the order of an order line.
    pub group: Option<Column>,
    /// The bound that a shuffle wrote beside each row: see [`LATEST`](super::LATEST).
    pub latest: Option<Column>,
    /// Unit of integer timestamps, where there are any.
    pub unit: Option<TimestampUnit>,
    schema: Arc<Schema>,
    /// Leaves to read.
    pub projection: ProjectionMask,
}

/// A column by its path.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Names from the root, without the list and element levels that Parquet puts in between.
    pub path: Vec<String>,
    /// The leaf's type.
    pub data_type: DataType,
    /// The leaf's number in the Parquet schema.
    leaf: usize,
    /// Whether the column stands at the root.
    flat: bool,
}

/// What a column is for, and what it may hold.
struct Wanted<'a> {
    key: &'a str,
    name: &'a str,
    accepts: fn(&DataType) -> bool,
    wanted: &'static str,
}

impl FileColumns {
    /// Finds all configured columns.
    ///
    /// # Errors
    /// A missing column (with those that are there and the nearest name), a column of the wrong type, an integer timestamp
    /// without a unit.
    pub(super) fn find(
        uri: &str,
        metadata: &ParquetMetaData,
        names: &ResolvedNames,
        unit: Option<TimestampUnit>,
        table: &str,
    ) -> Result<Self, EventsError> {
        let descriptor = metadata.file_metadata().schema_descr();
        let schema = parquet_to_arrow_schema(descriptor, None).map_err(|source| EventsError::Damaged {
            uri: uri.to_owned(),
            what: "reading the schema".to_owned(),
            source,
        })?;
        let mut leaves = Vec::new();
        collect_leaves(schema.fields(), &mut Vec::new(), &mut leaves);

        let find = |key: &str, name: &str, need: Need, accepts: fn(&DataType) -> bool, wanted: &'static str| {
            let key = format!("{table}.columns.{key}");
            find_column(uri, &leaves, need, &Wanted { key: &key, name, accepts, wanted })
        };
        let must = |key: &str, name: &str, accepts: fn(&DataType) -> bool, wanted: &'static str| {
            find(key, name, Need::Required, accepts, wanted).map(|column| column.expect("required"))
        };
        let may = |key: &str, name: &Option<(String, Need)>, accepts: fn(&DataType) -> bool, wanted: &'static str| {
            name.as_ref().map_or(Ok(None), |(name, need)| find(key, name, *need, accepts, wanted))
        };
        let user_id = must("user_id", &names.user_id, is_id, "text or an integer")?;
        let item_id = must("item_id", &names.item_id, is_id, "text or an integer")?;
        let event_type = names.event_type.as_ref().map(|name| must("event_type", name, is_text, "text")).transpose()?;
        let timestamp = names
            .timestamp
            .as_ref()
            .map(|name| must("timestamp", name, is_time, "a timestamp, a date, an integer or text"))
            .transpose()?;
        if let Some(column) = &timestamp
            && column.data_type.is_integer()
            && unit.is_none()
        {
            return Err(EventsError::NoUnit {
                uri: uri.to_owned(),
                column: column.path.join("."),
                key: format!("{table}.timestamp_unit"),
            });
        }
        let event_id = may("event_id", &names.event_id, is_id, "text or an integer")?;
        let quantity = may("quantity", &names.quantity, DataType::is_numeric, "a number")?;
        let price = may("price", &names.price, DataType::is_numeric, "a number")?;
        let group_key = if table == "orders" { "order_id" } else { "session_id" };
        let group = may(group_key, &names.group, is_id, "text or an integer")?;

        let latest = find(
            "nightshelf_latest",
            super::LATEST,
            Need::Welcome,
            |found| *found == DataType::Int64,
            "64-bit integers",
        )?;

        let taken = [Some(&user_id), Some(&item_id), event_type.as_ref(), timestamp.as_ref(), event_id.as_ref()]
            .into_iter()
            .chain([quantity.as_ref(), price.as_ref(), group.as_ref(), latest.as_ref()])
            .flatten()
            .map(|column| column.leaf);
        let projection = ProjectionMask::leaves(descriptor, taken);
        Ok(Self {
            user_id,
            item_id,
            event_type,
            timestamp,
            event_id,
            quantity,
            price,
            group,
            latest,
            unit,
            schema: Arc::new(schema),
            projection,
        })
    }

    /// The columns at the root that any of the wanted ones lie in, with their types; a name may come more than once.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&str, &DataType)> + '_ {
        [Some(&self.user_id), Some(&self.item_id), self.event_type.as_ref(), self.timestamp.as_ref()]
            .into_iter()
            .chain([self.event_id.as_ref(), self.quantity.as_ref(), self.price.as_ref(), self.group.as_ref()])
            .flatten()
            .filter_map(|column| self.schema.field_with_name(&column.path[0]).ok())
            .map(|field| (field.name().as_str(), field.data_type()))
    }

    /// Whether a column lies in a list.
    pub(super) fn in_list(&self, column: &Column) -> bool {
        let mut names = column.path[1..].iter();
        let mut at = self.schema.field_with_name(&column.path[0]).ok();
        while let Some(field) = at {
            at = match field.data_type() {
                DataType::Struct(fields) => names.next().and_then(|name| fields.find(name)).map(|(_, field)| &**field),
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::Map(_, _) => {
                    return true;
                }
                _ => None,
            };
        }
        false
    }

    /// The Arrow schema to decode a row group into: text as views, and as dictionaries where every page is one.
    ///
    /// Dictionaries pay only then: a column that fell back to plain pages would be hashed into one while decoding. User
    /// ids nearly always fall back (the usual limit of a dictionary is 1 MiB), items and event types hardly ever.
    pub(super) fn schema_of(&self, group: &RowGroupMetaData) -> Arc<Schema> {
        let mut fields: Vec<Arc<Field>> = self.schema.fields().iter().cloned().collect();
        let text = [Some(&self.user_id), Some(&self.item_id), self.event_type.as_ref(), self.event_id.as_ref()]
            .into_iter()
            .chain([self.timestamp.as_ref(), self.group.as_ref()])
            .flatten();
        // Bytes that the file does not declare to be text (Hive, old Spark) stay bytes: each value is checked while reading.
        let is_declared = |column: &&Column| is_text(&column.data_type) && column.data_type != DataType::Binary;
        for column in text.filter(|column| column.flat && is_declared(column)) {
            let data_type = if all_pages_are_dictionaries(group, column.leaf) {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            } else {
                DataType::Utf8View
            };
            if let Some(field) = fields.iter_mut().find(|field| *field.name() == column.path[0]) {
                *field = Arc::new(Field::clone(field).with_data_type(data_type));
            }
        }
        Arc::new(Schema::new(fields))
    }
}

fn all_pages_are_dictionaries(group: &RowGroupMetaData, leaf: usize) -> bool {
    let column = group.column(leaf);
    match column.page_encoding_stats() {
        Some(stats) => {
            let mut data = stats.iter().filter(|page| {
                matches!(page.page_type, parquet::basic::PageType::DATA_PAGE | parquet::basic::PageType::DATA_PAGE_V2)
            });
            data.all(|page| matches!(page.encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY))
        }
        // A mask of the same facts, which newer readers keep in place of the list.
        None => column
            .page_encoding_stats_mask()
            .is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY)),
    }
}

struct Leaf {
    path: Vec<String>,
    data_type: DataType,
    flat: bool,
}

fn collect_leaves(fields: &Fields, path: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    for field in fields {
        path.push(field.name().clone());
        descend(field.data_type(), path, leaves, path.len() == 1);
        path.pop();
    }
}

fn descend(data_type: &DataType, path: &mut Vec<String>, leaves: &mut Vec<Leaf>, flat: bool) {
    match data_type {
        DataType::Struct(fields) => collect_leaves(fields, path, leaves),
        DataType::List(element) | DataType::LargeList(element) => descend(element.data_type(), path, leaves, false),
        DataType::FixedSizeList(element, _) => descend(element.data_type(), path, leaves, false),
        DataType::Map(entries, _) => descend(entries.data_type(), path, leaves, false),
        leaf => leaves.push(Leaf { path: path.clone(), data_type: leaf.clone(), flat }),
    }
}

fn find_column(uri: &str, leaves: &[Leaf], need: Need, wanted: &Wanted<'_>) -> Result<Option<Column>, EventsError> {
    let path: Vec<&str> = wanted.name.split('.').collect();
    // A flat column may have dots in its name; a file written by nested tools has them as levels.
    let found = leaves.iter().position(|leaf| leaf.path.len() == 1 && leaf.path[0] == wanted.name);
    let found = found.or_else(|| leaves.iter().position(|leaf| leaf.path == path));
    let Some(at) = found else {
        if need == Need::Welcome {
            return Ok(None);
        }
        let names: Vec<String> = leaves.iter().map(|leaf| leaf.path.join(".")).collect();
        let nearest = names
            .iter()
            .map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &wanted.name.to_lowercase()), name))
            .filter(|(similarity, _)| *similarity > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name.clone());
        return Err(EventsError::NoColumn {
            uri: uri.to_owned(),
            key: wanted.key.to_owned(),
            column: wanted.name.to_owned(),
            available: names.join(", "),
            nearest,
        });
    };
    let leaf = &leaves[at];
    if !(wanted.accepts)(&leaf.data_type) {
        return Err(EventsError::WrongType {
            uri: uri.to_owned(),
            key: wanted.key.to_owned(),
            column: wanted.name.to_owned(),
            found: leaf.data_type.to_string(),
            wanted: wanted.wanted,
        });
    }
    Ok(Some(Column { path: leaf.path.clone(), data_type: leaf.data_type.clone(), leaf: at, flat: leaf.flat }))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary)
}

fn is_id(data_type: &DataType) -> bool {
    is_text(data_type) || data_type.is_integer()
}

fn is_time(data_type: &DataType) -> bool {
    is_text(data_type)
        || data_type.is_integer()
        || matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64)
}
