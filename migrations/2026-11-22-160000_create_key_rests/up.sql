-- Rests of provider keys that lie ahead, so that a restart does not forget them. A few rows, replaced provider by provider.
-- key_hash: SHA-256 of the key's value; empty: the provider rests with all its keys. model: empty for all models.
-- kind: banned or transient. Times are milliseconds, until_ms since 1970.
CREATE TABLE key_rests (
    provider TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    key_label TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    why TEXT NOT NULL,
    asked SMALLINT NOT NULL,
    until_ms BIGINT NOT NULL,
    step_ms BIGINT NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (provider, key_hash, model, kind)
);
