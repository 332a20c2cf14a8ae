//! The insert of a row that is not there yet, for diesel to prepare once for the life of a connection.
//!
//! Spelt out here, since diesel's own insert statement walks its columns several times for each row (figures:
//! `docs/performance.md`). One row for each statement, and nothing about conflicts: to prepare one statement for many rows
//! costs more than to run it.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::Sqlite;

use crate::storage::row::Row;

/// A row to be written.
pub(super) struct NewRow<'a>(pub(super) &'a Row);

/// A row's fields are the columns: one that is missing here does not compile.
macro_rules! insert {
    ($first:ident: $first_kind:ty, $($column:ident: $kind:ty,)*) => {
        const INSERT: &str = concat!(
            "INSERT INTO request_logs (", stringify!($first), $(", ", stringify!($column),)* ") VALUES ("
        );

        impl QueryFragment<Sqlite> for NewRow<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                let Row { $first, $($column,)* } = self.0;
                out.push_sql(INSERT);
                out.push_bind_param::<$first_kind, _>($first)?;
                $(
                    out.push_sql(", ");
                    out.push_bind_param::<$kind, _>($column)?;
                )*
                out.push_sql(")");
                Ok(())
            }
        }
    };
}

insert! {
    id: Text,
    request_id: Text,
    timestamp: Text,
    endpoint: Text,
    method: Text,
    client_api_key_hash: Nullable<Text>,
    requested_model: Nullable<Text>,
    resolved_provider: Nullable<Text>,
    resolved_model: Nullable<Text>,
    parameters: Text,
    messages: Nullable<Text>,
    response_status: Integer,
    response_time_ms: BigInt,
    response_content: Nullable<Text>,
    response_usage: Nullable<Text>,
    provider_api_key_used: Nullable<Text>,
    provider_retries: Integer,
    is_streaming: SmallInt,
    error_message: Nullable<Text>,
    error_type: Nullable<Text>,
    client: Nullable<Text>,
    prompt_tokens: Nullable<BigInt>,
    completion_tokens: Nullable<BigInt>,
    cached_tokens: Nullable<BigInt>,
    cache_write_tokens: Nullable<BigInt>,
    reasoning_tokens: Nullable<BigInt>,
    first_token_ms: Nullable<BigInt>,
    attempts: Text,
    loss: Nullable<Text>,
}

impl QueryId for NewRow<'_> {
    type QueryId = NewRow<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for NewRow<'_> {}
