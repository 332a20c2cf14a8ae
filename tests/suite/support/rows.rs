//! The request log, read straight from its SQLite file: the columns as they are, whatever the gateway's types say.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::{Map, Value};

/// One row: column → value.
#[derive(Debug, Clone)]
pub(crate) struct Row(Map<String, Value>);

impl Row {
    /// A column, which must exist.
    #[track_caller]
    pub(crate) fn get(&self, column: &str) -> &Value {
        let value = self.0.get(column);
        value.unwrap_or_else(|| panic!("no column {column} in {:?}", self.0))
    }

    /// A column that holds text.
    #[track_caller]
    pub(crate) fn text(&self, column: &str) -> &str {
        let text = self.get(column).as_str();
        text.unwrap_or_else(|| panic!("{column} is no text: {:?}", self.get(column)))
    }

    /// A column that holds a number.
    #[track_caller]
    pub(crate) fn number(&self, column: &str) -> i64 {
        let number = self.get(column).as_i64();
        number.unwrap_or_else(|| panic!("{column} is no number: {:?}", self.get(column)))
    }

    /// A column that holds JSON as text.
    #[track_caller]
    pub(crate) fn json(&self, column: &str) -> Value {
        let parsed = serde_json::from_str(self.text(column));
        parsed.unwrap_or_else(|error| panic!("{column}: {error}: {}", self.text(column)))
    }

    pub(crate) fn is_null(&self, column: &str) -> bool {
        self.get(column).is_null()
    }
}

#[derive(QueryableByName)]
struct OneText {
    #[diesel(sql_type = Text)]
    value: String,
}

/// How many rests of keys are written down.
pub(crate) fn rests(database: &Path) -> usize {
    let mut connection = SqliteConnection::establish(&database.to_string_lossy())
        .expect("the database can be opened");
    let count = "SELECT CAST(count(*) AS TEXT) AS value FROM key_rests";
    let found = diesel::sql_query(count).get_result::<OneText>(&mut connection);
    // one that is being written is looked at again
    found.map_or(0, |row| row.value.parse().expect("a number"))
}

/// Every row of `request_logs`, oldest first.
pub(crate) fn read(database: &Path) -> Vec<Row> {
    let mut connection = SqliteConnection::establish(&database.to_string_lossy())
        .expect("the database can be opened");
    // the last connection of a gateway that has just ended may still be folding its journal in
    diesel::sql_query("PRAGMA busy_timeout = 5000")
        .execute(&mut connection)
        .expect("patience");
    let mut query = |sql: &str| -> Vec<String> {
        let found = diesel::sql_query(sql).load::<OneText>(&mut connection);
        let found = found.unwrap_or_else(|error| panic!("{error}: {sql}"));
        found.into_iter().map(|row| row.value).collect()
    };
    let columns = query("SELECT name AS value FROM pragma_table_info('request_logs')");
    let members: Vec<_> = columns
        .iter()
        .map(|column| format!("'{column}', \"{column}\""))
        .collect();
    let members = members.join(", ");
    let rows = query(&format!(
        "SELECT json_object({members}) AS value FROM request_logs ORDER BY id"
    ));
    rows.iter()
        .map(|row| Row(serde_json::from_str(row).expect("a row as JSON")))
        .collect()
}
