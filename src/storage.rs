//! The request log in a database: pool, migrations, rows.
