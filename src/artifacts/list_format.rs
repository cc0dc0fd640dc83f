//! How lists lie in Parquet: one row a list, entries nested.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

/// Which lists a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// `recommendations/`: user_id, items, source; a file a bucket, ascending by user_id.
    Recommendations,
    /// `similar_items/`: item_id, items; ascending by item_id.
    SimilarItems,
    /// `popular/`: placement, items; ascending by placement.
    Popular,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Recommendations, Self::SimilarItems, Self::Popular];

    /// The folder of the run directory.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Recommendations => "recommendations",
            Self::SimilarItems => "similar_items",
            Self::Popular => "popular",
        }
    }

    /// The name of the column that keys the lists.
    #[must_use]
    pub fn key_column(self) -> &'static str {
        match self {
            Self::Recommendations => "user_id",
            Self::SimilarItems => "item_id",
            Self::Popular => "placement",
        }
    }

    /// Whether each list says where it comes from.
    #[must_use]
    pub fn has_source(self) -> bool {
        self == Self::Recommendations
    }

    /// The columns, with text as `text`: plain strings to write, string views to read.
    pub(super) fn schema(self, text: &DataType) -> Schema {
        let mut fields = vec![
            Field::new(self.key_column(), text.clone(), false),
            Field::new("items", DataType::List(entry_field(text)), false),
        ];
        if self.has_source() {
            fields.push(Field::new("source", text.clone(), false));
        }
        Schema::new(fields)
    }
}

/// One entry of a list: struct<item_id, score>.
pub(super) fn entry_field(text: &DataType) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(entry_fields(text)), false))
}

pub(super) fn entry_fields(text: &DataType) -> Fields {
    Fields::from(vec![Field::new("item_id", text.clone(), false), Field::new("score", DataType::Float32, false)])
}

/// The file of one bucket of users: `recommendations/bucket-003.parquet`.
#[must_use]
pub fn bucket_path(folder: &str, bucket: usize) -> String {
    format!("{folder}/bucket-{bucket:03}.parquet")
}
