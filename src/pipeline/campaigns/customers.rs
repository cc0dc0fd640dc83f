//! Customers beside their profiles: consent by channel, and the columns that conditions name.

use std::collections::BTreeMap;

use polars::prelude::*;

use crate::{
    artifacts::Wanted,
    campaigns::{BucketUsers, CampaignError, ColumnType, Plan, Refusal},
    customers::CustomerTable,
    ids::IdTable,
};

use super::CampaignInputs;
use crate::pipeline::PipelineError;

fn failed(source: PolarsError) -> PipelineError {
    CampaignError::Evaluate { campaign: "customers".into(), text: "the columns of customers".into(), source }.into()
}

/// Enters the types that the data has.
pub(super) fn add_types(table: &CustomerTable, schema: &mut crate::campaigns::Schema) -> Result<(), PipelineError> {
    for column in table.empty_frame().map_err(failed)?.columns() {
        let column_type = match column.dtype() {
            DataType::Boolean => ColumnType::Boolean,
            DataType::String => ColumnType::Text,
            DataType::Datetime(..) | DataType::Date => ColumnType::Instant,
            _ => ColumnType::Number,
        };
        schema.put(column.name(), column_type);
    }
    Ok(())
}

/// Joins the customers of a bucket to its users; whoever is no customer has unknown columns and must not be written to.
pub(super) fn join(
    inputs: &CampaignInputs<'_>,
    plan: &Plan,
    bucket: usize,
    wanted: &Wanted,
    users: &mut BucketUsers,
) -> Result<(), PipelineError> {
    let Some(table) = inputs.customers.and_then(|read| read.table.as_ref()) else { return Ok(()) };
    let frame = table.frame(bucket).map_err(failed)?;
    let rows = rows_of(&users.ids, &frame).map_err(failed)?;
    for column in frame.columns().iter().filter(|column| column.name() != "user_id") {
        if wanted.columns.contains(column.name().as_str()) {
            put(users, column, &rows).map_err(failed)??;
        }
    }
    let flags = |name: &str| -> Result<Option<Vec<Option<bool>>>, PipelineError> {
        let Ok(column) = frame.column(name) else { return Ok(None) };
        let column = column.bool().map_err(failed)?;
        Ok(Some(rows.iter().map(|row| row.and_then(|row| column.get(row))).collect()))
    };
    let (suppressed, unsubscribed) = (flags("suppressed")?, flags("unsubscribed")?);
    let is =
        |flags: &Option<Vec<Option<bool>>>, user: usize| flags.as_ref().is_some_and(|flags| flags[user] == Some(true));
    let mut refusals = BTreeMap::new();
    for campaign in &plan.campaigns {
        let channel = &campaign.config.channel;
        if refusals.contains_key(channel) {
            continue;
        }
        let consent = flags(&format!("consent_{channel}"))?;
        let refusal = |(user, row): (usize, &Option<usize>)| match row {
            None => Some(Refusal::UnknownCustomer),
            Some(_) if is(&suppressed, user) => Some(Refusal::Suppressed),
            Some(_) if is(&unsubscribed, user) => Some(Refusal::Unsubscribed),
            Some(_) if !is(&consent, user) => Some(Refusal::NoConsent),
            Some(_) => None,
        };
        refusals.insert(channel.clone(), rows.iter().enumerate().map(refusal).collect::<Vec<_>>());
    }
    users.refusals = Some(refusals);
    Ok(())
}

/// By user: his row among the customers. Both ascend by id.
fn rows_of(ids: &IdTable, frame: &DataFrame) -> PolarsResult<Vec<Option<usize>>> {
    let customers = frame.column("user_id")?.str()?;
    let mut row = 0;
    let find = |id: &str| {
        while customers.get(row).is_some_and(|customer| customer < id) {
            row += 1;
        }
        (customers.get(row) == Some(id)).then_some(row)
    };
    Ok(ids.iter().map(find).collect())
}

fn put(users: &mut BucketUsers, column: &Column, rows: &[Option<usize>]) -> PolarsResult<Result<(), CampaignError>> {
    let name = column.name().as_str();
    let table = &mut users.table;
    Ok(match column.dtype() {
        DataType::Boolean => {
            let values = column.bool()?;
            table.put_booleans(name, rows.iter().map(|row| row.and_then(|row| values.get(row))))
        }
        DataType::String => {
            let values = column.str()?;
            table.put_texts(name, rows.iter().map(|row| row.and_then(|row| values.get(row))))
        }
        DataType::Datetime(unit, _) => {
            let a_second = match unit {
                TimeUnit::Nanoseconds => 1_000_000_000,
                TimeUnit::Microseconds => 1_000_000,
                TimeUnit::Milliseconds => 1_000,
            };
            let values = column.datetime()?.physical();
            let at = |row: &Option<usize>| row.and_then(|row| values.get(row)).map(|at| at.div_euclid(a_second));
            table.put_instants(name, rows.iter().map(at))
        }
        _ => {
            let values = column.cast(&DataType::Float64)?;
            let values = values.f64()?;
            table.put_numbers(name, rows.iter().map(|row| row.and_then(|row| values.get(row))))
        }
    })
}
