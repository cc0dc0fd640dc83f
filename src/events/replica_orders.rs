//! Order lines from a table of a read replica.

use arrow::{array::ArrayRef, datatypes::DataType, error::ArrowError};

use super::{
    EventsError,
    arrays::EventArrays,
    config::{Need, ResolvedNames, TimestampUnit},
    decode::{FileReader, Harvest, RowRules, Shard},
};
use crate::{
    interactions::Stamp,
    sql::{Holds, Outcome, ReplicaConfig, SqlColumn, read_table},
};

/// The section of the config.
const PATH: &str = "orders.replica";

/// What to read, and how rows are judged.
pub(super) struct OrderTable<'a> {
    pub(super) replica: &'a ReplicaConfig,
    pub(super) names: &'a ResolvedNames,
    pub(super) unit: Option<TimestampUnit>,
    pub(super) rules: &'a RowRules,
    pub(super) latest: Stamp,
    pub(super) n_buckets: usize,
    pub(super) n_kinds: usize,
}

/// Places of the columns among those that are read.
#[derive(Default)]
struct Places {
    event_type: Option<usize>,
    timestamp: usize,
    event_id: Option<usize>,
    quantity: Option<usize>,
    price: Option<usize>,
    group: Option<usize>,
}

/// Reads all lines into one shard.
pub(super) fn read(table: &OrderTable<'_>) -> Result<Outcome<Shard>, EventsError> {
    let (columns, places) = columns(table.names);
    let place = table.replica.place();
    let newest = table.names.timestamp.as_deref();
    let start = |types: &[DataType]| {
        if types[places.timestamp].is_integer() && table.unit.is_none() {
            let (column, key) = (columns[places.timestamp].name.clone(), "orders.timestamp_unit".to_owned());
            return Err(EventsError::NoUnit { uri: place.clone(), column, key });
        }
        let harvest = Harvest::new(table.n_buckets, table.n_kinds, 0, None);
        Ok((harvest, FileReader::new(table.rules, table.unit, table.latest)))
    };
    let each = |(harvest, reader): &mut (Harvest, FileReader<'_>), arrays: &[ArrayRef]| {
        let at = |place: Option<usize>| place.map(|place| arrays[place].clone());
        let lines = EventArrays {
            user_id: arrays[0].clone(),
            item_id: arrays[1].clone(),
            event_type: at(places.event_type),
            timestamp: at(Some(places.timestamp)),
            event_id: at(places.event_id),
            quantity: at(places.quantity),
            price: at(places.price),
            group: at(places.group),
            latest: None,
        };
        let damaged = |error: ArrowError| EventsError::Damaged {
            uri: place.clone(),
            what: "decoding order lines".to_owned(),
            source: error.into(),
        };
        reader.read(&lines, harvest).map_err(damaged)
    };
    Ok(match read_table(table.replica, PATH, &columns, newest, start, each)? {
        Outcome::Read((harvest, _), read) => Outcome::Read(harvest.finish(), read),
        Outcome::LeftOut(why) => Outcome::LeftOut(why),
    })
}

fn columns(names: &ResolvedNames) -> (Vec<SqlColumn>, Places) {
    let column =
        |key: &str, name: &str, holds| SqlColumn { key: format!("orders.columns.{key}"), name: name.to_owned(), holds };
    let mut columns = vec![column("user_id", &names.user_id, Holds::Id), column("item_id", &names.item_id, Holds::Id)];
    let mut add = |key: &str, name: Option<&String>, holds| {
        let name = name?;
        columns.push(column(key, name, holds));
        Some(columns.len() - 1)
    };
    let named = |name: &Option<(String, Need)>| name.as_ref().map(|(name, _)| name.clone());
    let places = Places {
        event_type: add("status", names.event_type.as_ref(), Holds::Text),
        timestamp: add("ordered_at", names.timestamp.as_ref(), Holds::Time).expect("orders always have a time"),
        event_id: add("line_id", named(&names.event_id).as_ref(), Holds::Id),
        quantity: add("quantity", named(&names.quantity).as_ref(), Holds::Number),
        price: add("price", named(&names.price).as_ref(), Holds::Number),
        group: add("order_id", named(&names.group).as_ref(), Holds::Id),
    };
    (columns, places)
}
