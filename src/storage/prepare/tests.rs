//! Tests of the preparation.

use diesel::Connection;

use super::*;

/// What the Python original leaves behind, as SQLAlchemy writes it.
const PYTHON: &str = "
    CREATE TABLE request_logs (
        id INTEGER NOT NULL, request_id VARCHAR NOT NULL, timestamp DATETIME, endpoint VARCHAR NOT NULL,
        method VARCHAR NOT NULL, parameters JSON NOT NULL, messages JSON NOT NULL, PRIMARY KEY (id));
    CREATE UNIQUE INDEX ix_request_logs_request_id ON request_logs (request_id);
    CREATE INDEX ix_request_logs_timestamp ON request_logs (timestamp);
    CREATE INDEX idx_request_logs_timestamp ON request_logs (timestamp);
    CREATE TABLE logs (id INTEGER NOT NULL PRIMARY KEY, service VARCHAR);
    INSERT INTO request_logs VALUES (1, 'old', NULL, '/v1/messages', 'POST', '{}', '[]');";

#[derive(QueryableByName, Debug, PartialEq)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

fn memory() -> SqliteConnection {
    SqliteConnection::establish(":memory:").unwrap()
}

fn tables(connection: &mut SqliteConnection) -> Vec<String> {
    let names: Vec<Name> = sql_query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY name",
    )
    .load(connection)
    .unwrap();
    names.into_iter().map(|name| name.name).collect()
}

fn prepared(connection: &mut SqliteConnection) {
    if let Err(failure) = prepare(connection) {
        panic!("cannot {}: {}", failure.step, failure.reason);
    }
}

#[test]
fn migrations_go_up_down_and_up_again_in_a_new_database() {
    let mut connection = memory();
    prepared(&mut connection);
    assert_eq!(tables(&mut connection), ["key_rests", "request_logs"]);
    connection.revert_all_migrations(MIGRATIONS).unwrap();
    assert!(tables(&mut connection).is_empty());
    prepared(&mut connection);
    assert_eq!(tables(&mut connection), ["key_rests", "request_logs"]);
}

#[test]
fn migrations_go_up_down_and_up_again_beside_the_table_of_the_python_original() {
    let mut connection = memory();
    connection.batch_execute(PYTHON).unwrap();
    prepared(&mut connection);
    let both = ["key_rests", "logs", "request_logs", "request_logs_python"];
    assert_eq!(tables(&mut connection), both);
    connection.revert_all_migrations(MIGRATIONS).unwrap();
    assert_eq!(tables(&mut connection), ["logs", "request_logs_python"]);
    prepared(&mut connection);
    assert_eq!(tables(&mut connection), both);
    let old: Name = sql_query("SELECT request_id AS name FROM request_logs_python")
        .get_result(&mut connection)
        .unwrap();
    assert_eq!(old.name, "old");
}

#[test]
fn a_second_table_of_the_python_original_gets_a_name_of_its_own() {
    let mut connection = memory();
    connection.batch_execute(PYTHON).unwrap();
    prepared(&mut connection);
    connection.revert_all_migrations(MIGRATIONS).unwrap();
    connection
        .batch_execute("DROP TABLE logs; DROP INDEX ix_request_logs_request_id;")
        .unwrap();
    connection
        .batch_execute(
            "DROP INDEX ix_request_logs_timestamp; DROP INDEX idx_request_logs_timestamp;",
        )
        .unwrap();
    connection.batch_execute(PYTHON).unwrap();
    prepared(&mut connection);
    assert_eq!(
        tables(&mut connection),
        [
            "key_rests",
            "logs",
            "request_logs",
            "request_logs_python",
            "request_logs_python_2"
        ]
    );
}

#[test]
fn our_own_table_is_never_taken_for_the_python_one() {
    let mut connection = memory();
    prepared(&mut connection);
    prepared(&mut connection);
    assert_eq!(tables(&mut connection), ["key_rests", "request_logs"]);
}

#[test]
fn the_schema_is_what_the_migrations_make() {
    let mut connection = memory();
    prepared(&mut connection);
    let mut columns: Vec<Name> = Vec::new();
    for table in ["key_rests", "request_logs"] {
        let query = format!(
            "SELECT name || ' ' || type || CASE \"notnull\" WHEN 1 THEN '' ELSE ' NULL' END AS name
             FROM pragma_table_info('{table}')"
        );
        columns.extend(sql_query(query).load::<Name>(&mut connection).unwrap());
    }
    let schema: Vec<String> = include_str!("../schema.rs")
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(" -> "))
        .map(|(name, kind)| {
            let inner = kind
                .strip_prefix("Nullable<")
                .map(|kind| kind.trim_end_matches('>'));
            let null = if inner.is_some() { " NULL" } else { "" };
            format!("{name} {}{null}", inner.unwrap_or(kind).to_uppercase())
        })
        .collect();
    let columns: Vec<String> = columns.into_iter().map(|column| column.name).collect();
    assert_eq!(columns, schema);
}
