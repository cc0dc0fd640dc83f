//! The metrics of every user, for notebooks.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt32Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::{
    ExchangeError,
    files::{CHUNK_ROWS, TableFile},
};
use crate::evaluation::{Metric, TestSet, UserValues};

/// The users of one fold under one model.
#[derive(Clone, Copy)]
pub struct UserRows<'a> {
    /// The fold's name.
    pub fold: &'a str,
    /// The model's name.
    pub model: &'a str,
    /// The users.
    pub test: &'a TestSet,
    /// Their metrics.
    pub values: &'a UserValues,
}

/// A Parquet file of metrics being written: `fold`, `model`, `user_id`, `known`, `n_train_items`, `n_relevant`, `k`, and a
/// column for each metric.
#[derive(Debug)]
pub struct UserTable {
    schema: SchemaRef,
    file: TableFile,
    path: std::path::PathBuf,
}

impl UserTable {
    /// Begins a file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(path: &Path) -> Result<Self, ExchangeError> {
        let mut fields = vec![
            Field::new("fold", DataType::Utf8, false),
            Field::new("model", DataType::Utf8, false),
            Field::new("user_id", DataType::Utf8, false),
            Field::new("known", DataType::Boolean, false),
            Field::new("n_train_items", DataType::UInt32, false),
            Field::new("n_relevant", DataType::UInt32, false),
            Field::new("k", DataType::UInt32, false),
        ];
        fields.extend(Metric::ALL.iter().map(|metric| Field::new(metric.name(), DataType::Float64, false)));
        let schema = Arc::new(Schema::new(fields));
        let file = TableFile::create(path, Arc::clone(&schema))?;
        Ok(Self { schema, file, path: path.to_owned() })
    }

    /// Writes users, each with a row a k.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, rows: &UserRows<'_>) -> Result<(), ExchangeError> {
        let (test, values) = (rows.test, rows.values);
        let n_ks = values.ks.len().max(1);
        let users: Vec<usize> = (0..test.len()).collect();
        for users in users.chunks(CHUNK_ROWS.div_ceil(n_ks)) {
            let each: Vec<(usize, usize)> =
                users.iter().flat_map(|&user| (0..values.ks.len()).map(move |at| (user, at))).collect();
            let number = |of: &dyn Fn(usize, usize) -> u32| -> ArrayRef {
                Arc::new(each.iter().map(|(user, at)| of(*user, *at)).collect::<UInt32Array>())
            };
            let mut columns: Vec<ArrayRef> = vec![
                Arc::new(each.iter().map(|_| Some(rows.fold)).collect::<StringArray>()),
                Arc::new(each.iter().map(|_| Some(rows.model)).collect::<StringArray>()),
                Arc::new(each.iter().map(|(user, _)| Some(test.users.get(*user))).collect::<StringArray>()),
                Arc::new(each.iter().map(|(user, _)| Some(test.known[*user])).collect::<BooleanArray>()),
                number(&|user, _| test.n_train_items[user]),
                number(&|user, _| test.relevant.columns(user).len() as u32),
                number(&|_, at| values.ks[at] as u32),
            ];
            for metric in Metric::ALL {
                let column = each.iter().map(|(user, at)| values.get(*user, *at, metric));
                columns.push(Arc::new(column.collect::<Float64Array>()));
            }
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
                .map_err(|error| ExchangeError::Encode { path: self.path.clone(), source: error.into() })?;
            self.file.write(&batch)?;
        }
        Ok(())
    }

    /// Ends the file; only now it has its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<(), ExchangeError> {
        self.file.finish()
    }
}
