-- The request log: one row for each POST to chat, messages and count_tokens.
-- Only what SQLite and PostgreSQL both take: ids and JSON are text, booleans small integers.
CREATE TABLE request_logs (
    id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    method TEXT NOT NULL,
    client_api_key_hash TEXT,
    requested_model TEXT,
    resolved_provider TEXT,
    resolved_model TEXT,
    parameters TEXT NOT NULL,
    messages TEXT,
    response_status INTEGER NOT NULL,
    response_time_ms BIGINT NOT NULL,
    response_content TEXT,
    response_usage TEXT,
    provider_api_key_used TEXT,
    provider_retries INTEGER NOT NULL,
    is_streaming SMALLINT NOT NULL,
    error_message TEXT,
    error_type TEXT,
    client TEXT,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    cached_tokens BIGINT,
    cache_write_tokens BIGINT,
    reasoning_tokens BIGINT,
    first_token_ms BIGINT,
    attempts TEXT NOT NULL,
    loss TEXT
);

CREATE INDEX request_logs_by_request_id ON request_logs (request_id);
CREATE INDEX request_logs_by_timestamp ON request_logs (timestamp);
CREATE INDEX request_logs_by_client_and_timestamp ON request_logs (client, timestamp);
