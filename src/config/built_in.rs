//! The provider files that are compiled in, so that the gateway runs without any file at all.

/// Name and text of each, in name order.
pub const PROVIDERS: [(&str, &str); 14] = {
    macro_rules! files {
        ($($name:literal),*) => {
            [$(($name, include_str!(concat!("../../config/providers/", $name, ".json")))),*]
        };
    }
    files![
        "anthropic",
        "cerebras",
        "chutes",
        "cloudflare",
        "gemini",
        "github",
        "groq",
        "llama",
        "longcat",
        "mistral",
        "nahcrof",
        "openai",
        "openrouter",
        "zai"
    ]
};
