//! The insert of rows that are not there yet, for diesel to prepare once for the life of a connection.
//!
//! Spelt out here, since diesel's own insert statement walks its columns several times for each row (figures:
//! `docs/performance.md`). Nothing about conflicts but that they fail, which needs no journal of the statement: the transaction
//! is rolled back as a whole.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::Sqlite;

use crate::storage::row::Row;

/// Rows to be written. Each number of them is a statement of its own, and to prepare one for many rows costs more than to run it
/// once.
pub(super) struct NewRows<'a, const ROWS: usize>(pub(super) &'a [Row; ROWS]);

/// A row's fields are the columns: one that is missing here does not compile.
macro_rules! insert {
    ($first:ident: $first_kind:ty, $($column:ident: $kind:ty,)*) => {
        const INSERT: &str = concat!(
            "INSERT OR FAIL INTO request_logs (", stringify!($first), $(", ", stringify!($column),)* ") VALUES "
        );

        impl<const ROWS: usize> QueryFragment<Sqlite> for NewRows<'_, ROWS> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                out.push_sql(INSERT);
                let mut before = "(";
                for Row { $first, $($column,)* } in self.0 {
                    out.push_sql(before);
                    out.push_bind_param::<$first_kind, _>($first)?;
                    $(
                        out.push_sql(", ");
                        out.push_bind_param::<$kind, _>($column)?;
                    )*
                    before = "), (";
                }
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

impl<const ROWS: usize> QueryId for NewRows<'_, ROWS> {
    type QueryId = NewRows<'static, ROWS>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const ROWS: usize> RunQueryDsl<SqliteConnection> for NewRows<'_, ROWS> {}
