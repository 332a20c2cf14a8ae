// @generated automatically by Diesel CLI.

diesel::table! {
    key_rests (provider, key_hash, model, kind) {
        provider -> Text,
        key_hash -> Text,
        key_label -> Text,
        model -> Text,
        kind -> Text,
        why -> Text,
        asked -> SmallInt,
        until_ms -> BigInt,
        step_ms -> BigInt,
        failures -> Integer,
    }
}

diesel::table! {
    request_logs (id) {
        id -> Text,
        request_id -> Text,
        timestamp -> Text,
        endpoint -> Text,
        method -> Text,
        client_api_key_hash -> Nullable<Text>,
        requested_model -> Nullable<Text>,
        resolved_provider -> Nullable<Text>,
        resolved_model -> Nullable<Text>,
        parameters -> Text,
        messages -> Nullable<Text>,
        response_status -> Integer,
        response_time_ms -> BigInt,
        response_content -> Nullable<Text>,
        response_usage -> Nullable<Text>,
        provider_api_key_used -> Nullable<Text>,
        provider_retries -> Integer,
        is_streaming -> SmallInt,
        error_message -> Nullable<Text>,
        error_type -> Nullable<Text>,
        client -> Nullable<Text>,
        prompt_tokens -> Nullable<BigInt>,
        completion_tokens -> Nullable<BigInt>,
        cached_tokens -> Nullable<BigInt>,
        cache_write_tokens -> Nullable<BigInt>,
        reasoning_tokens -> Nullable<BigInt>,
        first_token_ms -> Nullable<BigInt>,
        attempts -> Text,
        loss -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(key_rests, request_logs,);
