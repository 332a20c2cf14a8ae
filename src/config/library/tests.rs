//! Whole configurations: what replaces what, what stays in use while a file is faulty, and what becomes of routes,
//! keys and secrets.

use std::time::{Duration, Instant};

use super::*;
use crate::config::catalog::{Model, Provider, ReasoningStyle, Route, StreamRecovery};
use crate::protocol::Protocol;

/// A directory that exists only as texts.
#[derive(Default)]
struct Texts {
    files: BTreeMap<PathBuf, (FileKind, String)>,
}

impl Texts {
    fn provider(mut self, name: &str, text: &str) -> Self {
        let path = PathBuf::from(format!("providers/{name}.json"));
        self.files
            .insert(path, (FileKind::Provider(name.to_owned()), text.to_owned()));
        self
    }

    fn model(mut self, stem: &str, text: &str) -> Self {
        let path = PathBuf::from(format!("models/{stem}.json"));
        self.files
            .insert(path, (FileKind::Model(stem.to_owned()), text.to_owned()));
        self
    }

    /// A model with one route that names a provider.
    fn route(self, name: &str, provider: &str) -> Self {
        self.model(name, &one_route(name, provider, ""))
    }

    fn legacy(mut self, text: &str) -> Self {
        let path = PathBuf::from("models.json");
        self.files
            .insert(path, (FileKind::LegacyModels, text.to_owned()));
        self
    }

    fn read(&self) -> Files {
        let files = self.files.iter().map(|(path, (kind, text))| File {
            path: path.clone(),
            kind: kind.clone(),
            stamp: None,
            settled: None,
            text: Ok(text.clone()),
        });
        Files {
            files: files.collect(),
            ..Files::default()
        }
    }
}

/// A model file with one route; `more` is put into the route.
fn one_route(name: &str, provider: &str, more: &str) -> String {
    format!(
        r#"{{"logical_name": "{name}", "model_routings": [{{"provider": "{provider}", "model": "upstream"{more}}}]}}"#
    )
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let client = [("CLIENT_API_KEY", "client-secret")];
    variables.iter().chain(&client).copied().collect()
}

/// The catalog of these texts alone.
fn catalog(texts: &Texts, variables: &[(&str, &str)]) -> Catalog {
    let mut library = Library::new();
    library.update(texts.read());
    publish(&mut library, variables)
}

fn publish(library: &mut Library, variables: &[(&str, &str)]) -> Catalog {
    let environment = environment(variables);
    let settings = Settings::load(None, &environment).expect("settings");
    library.catalog(&settings, &environment)
}

fn told(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

fn model<'catalog>(catalog: &'catalog Catalog, name: &str) -> &'catalog Model {
    catalog.model(name).expect("a model")
}

fn route<'catalog>(catalog: &'catalog Catalog, name: &str) -> &'catalog Route {
    &model(catalog, name).routes[0]
}

fn provider<'catalog>(catalog: &'catalog Catalog, name: &str) -> &'catalog Provider {
    &catalog.providers[name]
}

fn labels(keys: &[Arc<crate::config::catalog::ProviderKey>]) -> Vec<&str> {
    keys.iter().map(|key| key.label.as_str()).collect()
}

const ACME: &str = r#"{"endpoints": {"base_url": "http://acme/v1"}}"#;

#[test]
fn the_administrator_s_key_is_read_kept_out_of_texts_and_told_from_those_of_clients() {
    let of = |key| catalog(&Texts::default(), &[("ADMIN_API_KEY", key)]);
    let own = of("administrator-secret");
    let digest = crate::secret::digest("administrator-secret");
    assert_eq!(own.administrator, Some(digest));
    assert_eq!(
        own.scrubber.scrub("it is administrator-secret"),
        "it is [ADMIN_API_KEY]"
    );
    assert!(own.warnings.is_empty(), "{:?}", own.warnings);
    let shared = told(&of("client-secret").warnings);
    assert_eq!(
        shared,
        [
            "ADMIN_API_KEY: is also the key of client-1, who can therefore administrate: choose another"
        ]
    );
    assert_eq!(of(" ").administrator, None);
}

#[test]
fn without_any_file_there_are_the_compiled_in_providers() {
    let catalog = catalog(
        &Texts::default(),
        &[("OPENAI_API_KEY_2", "k2"), ("OPENAI_API_KEY", "k1")],
    );
    assert_eq!(catalog.providers.len(), 14);
    assert!(catalog.models.is_empty());
    assert_eq!(catalog.faults, []);
    assert_eq!(catalog.warnings, []);
    let openai = provider(&catalog, "openai");
    assert_eq!(openai.origin, crate::config::catalog::Origin::BuiltIn);
    assert_eq!(labels(&openai.keys), ["OPENAI_API_KEY", "OPENAI_API_KEY_2"]);
    assert_eq!(openai.auth_header, "authorization");
    let anthropic = provider(&catalog, "anthropic");
    assert_eq!(anthropic.protocol, Protocol::Anthropic);
    assert_eq!(anthropic.default_parameters[0].1.get(), "8192");
    assert!(!provider(&catalog, "mistral").stream_usage);
    assert_eq!(catalog.clients.len(), 1);
}

#[test]
fn a_file_replaces_the_compiled_in_provider_whole_until_it_is_deleted() {
    let mut library = Library::new();
    library.update(Texts::default().provider("openai", ACME).read());
    let replaced = publish(&mut library, &[]);
    let openai = provider(&replaced, "openai");
    assert_eq!(openai.display_name, "openai");
    assert_eq!(
        openai.origin,
        crate::config::catalog::Origin::File("providers/openai.json".into())
    );
    library.update(Texts::default().read());
    assert_eq!(
        provider(&publish(&mut library, &[]), "openai").display_name,
        "OpenAI"
    );
}

#[test]
fn an_untouched_copy_of_a_compiled_in_file_counts_as_compiled_in() {
    let mut library = Library::new();
    let (name, text) = built_in::PROVIDERS[0];
    library.update(Texts::default().provider(name, text).read());
    let catalog = publish(&mut library, &[]);
    assert_eq!(
        provider(&catalog, name).origin,
        crate::config::catalog::Origin::BuiltIn
    );
}

#[test]
fn a_faulty_file_does_not_let_its_compiled_in_namesake_in() {
    let texts = Texts::default()
        .provider("openai", "{")
        .route("m", "openai");
    let catalog = catalog(&texts, &[]);
    assert!(!catalog.providers.contains_key("openai"));
    assert!(catalog.model("m").is_none());
    assert_eq!(
        told(&catalog.faults),
        [
            "models/m.json:1:55: provider `openai` cannot be used until providers/openai.json is right",
            "providers/openai.json:1:1: not valid JSON: EOF while parsing an object",
        ]
    );
}

#[test]
fn a_model_whose_provider_is_unknown_is_faulty_where_it_names_it() {
    let texts = Texts::default().route("m", "opnai").route("n", "openai");
    let catalog = catalog(&texts, &[("OPENAI_API_KEY", "k")]);
    assert!(catalog.model("m").is_none());
    assert!(catalog.model("n").is_some());
    assert_eq!(
        told(&catalog.faults),
        [
            "models/m.json:1:55: there is no provider `opnai`: correct the name or add providers/opnai.json; did you mean `openai`?"
        ]
    );
}

#[test]
fn a_faulty_file_keeps_its_last_good_version_and_holds_nobody_up() {
    let mut library = Library::new();
    library.update(
        Texts::default()
            .route("a", "openai")
            .route("b", "openai")
            .read(),
    );
    publish(&mut library, &[]);
    let broken = Texts::default()
        .model("a", "{\"logical_name\": \"a\",\n}")
        .route("b", "groq");
    let changes = library.update(broken.read());
    assert_eq!(changes.changed.len(), 2);
    let catalog = publish(&mut library, &[]);
    assert_eq!(route(&catalog, "a").provider.name, "openai");
    assert_eq!(route(&catalog, "b").provider.name, "groq");
    assert_eq!(
        told(&catalog.faults),
        ["models/a.json:2:1: not valid JSON: trailing comma; its last good version stays in use"]
    );
    library.update(
        Texts::default()
            .route("a", "mistral")
            .route("b", "groq")
            .read(),
    );
    let repaired = publish(&mut library, &[]);
    assert_eq!(route(&repaired, "a").provider.name, "mistral");
    assert_eq!(repaired.faults, []);
}

#[test]
fn a_version_that_does_not_resolve_leaves_the_last_good_one_in_use() {
    let mut library = Library::new();
    library.update(Texts::default().route("a", "openai").read());
    publish(&mut library, &[]);
    library.update(Texts::default().route("a", "nobody").read());
    let catalog = publish(&mut library, &[]);
    assert_eq!(route(&catalog, "a").provider.name, "openai");
    assert!(
        catalog.faults[0]
            .message
            .ends_with("its last good version stays in use")
    );
    library.update(
        Texts::default()
            .route("a", "nobody")
            .provider("nobody", ACME)
            .read(),
    );
    let completed = publish(&mut library, &[]);
    assert_eq!(route(&completed, "a").provider.name, "nobody");
    assert_eq!(completed.faults, []);
}

#[test]
fn a_deleted_provider_takes_its_models_along_and_brings_them_back() {
    let mut library = Library::new();
    let whole = Texts::default().provider("acme", ACME).route("a", "acme");
    library.update(whole.read());
    assert!(publish(&mut library, &[]).model("a").is_some());
    library.update(Texts::default().route("a", "acme").read());
    let without = publish(&mut library, &[]);
    assert!(without.model("a").is_none());
    assert_eq!(without.faults.len(), 1);
    assert!(!without.faults[0].message.contains("stays in use"));
    library.update(whole.read());
    assert!(publish(&mut library, &[]).model("a").is_some());
}

#[test]
fn a_broken_provider_keeps_its_last_good_version() {
    let mut library = Library::new();
    library.update(
        Texts::default()
            .provider("acme", ACME)
            .route("a", "acme")
            .read(),
    );
    publish(&mut library, &[]);
    library.update(
        Texts::default()
            .provider("acme", "[]")
            .route("a", "acme")
            .read(),
    );
    let catalog = publish(&mut library, &[]);
    assert_eq!(route(&catalog, "a").url, "http://acme/v1/chat/completions");
    assert_eq!(
        told(&catalog.faults),
        [
            "providers/acme.json:1:1: the file must be an object, not a list; its last good version stays in use"
        ]
    );
}

#[test]
fn an_update_tells_what_was_added_changed_and_removed() {
    let mut library = Library::new();
    let first = Texts::default().route("a", "openai").route("b", "openai");
    assert_eq!(library.update(first.read()).added.len(), 2);
    assert!(library.update(first.read()).is_empty());
    let changes = library.update(
        Texts::default()
            .route("b", "groq")
            .route("c", "groq")
            .read(),
    );
    assert_eq!(changes.added, [Path::new("models/c.json")]);
    assert_eq!(changes.changed, [Path::new("models/b.json")]);
    assert_eq!(changes.removed, [Path::new("models/a.json")]);
}

#[test]
fn files_of_a_directory_that_cannot_be_looked_into_stay() {
    let mut library = Library::new();
    library.update(
        Texts::default()
            .provider("acme", ACME)
            .route("a", "acme")
            .read(),
    );
    let mut files = Texts::default().provider("acme", ACME).read();
    files
        .unreadable
        .push(("models".into(), "permission denied".to_owned()));
    assert!(library.update(files).is_empty());
    let catalog = publish(&mut library, &[]);
    assert!(catalog.model("a").is_some());
    assert_eq!(
        told(&catalog.faults),
        ["models: cannot be read: permission denied; what was read from it before stays in use"]
    );
}

#[test]
fn two_files_with_one_name_are_a_fault_of_the_one_that_spells_it_otherwise() {
    let text = one_route("a/b", "openai", "");
    let texts = Texts::default().model("a/b", &text).model("a-b", &text);
    let catalog = catalog(&texts, &[("OPENAI_API_KEY", "k")]);
    assert_eq!(model(&catalog, "a/b").source, Path::new("models/a/b.json"));
    assert_eq!(
        told(&catalog.faults),
        [
            "models/a-b.json:1:18: model `a/b` is also in models/a/b.json, which counts: rename one of them"
        ]
    );
}

#[test]
fn legacy_models_load_with_a_warning_and_give_way_to_files() {
    let texts = Texts::default().route("b", "openai").legacy(
        r#"{"cerebras/glm": {"provider": "cerebras", "provider_model": "zai-glm"},
 "b": {"provider": "groq", "provider_model": "x"},
 "c": {"provider": "nobody", "provider_model": "x"}}"#,
    );
    let catalog = catalog(
        &texts,
        &[("OPENAI_API_KEY", "k"), ("CEREBRAS_API_KEY", "k")],
    );
    assert_eq!(route(&catalog, "cerebras/glm").model, "zai-glm");
    assert_eq!(route(&catalog, "b").provider.name, "openai");
    assert!(catalog.model("c").is_none());
    assert_eq!(
        told(&catalog.faults),
        [
            "models.json:3:7: there is no provider `nobody`: correct the name or add providers/nobody.json"
        ]
    );
    assert_eq!(
        told(&catalog.warnings),
        [
            "models.json: is the legacy form of model files: run `model-proxy config migrate` to split it into models/<name>.json",
            "models.json:2:7: model `b` is also in models/b.json, which counts: remove this entry",
        ]
    );
}

#[test]
fn one_unusable_legacy_entry_does_not_take_its_last_good_neighbours_away() {
    let mut library = Library::new();
    let entry =
        |provider: &str| format!(r#"{{"a": {{"provider": "{provider}", "provider_model": "x"}}}}"#);
    library.update(Texts::default().legacy(&entry("groq")).read());
    publish(&mut library, &[]);
    library.update(Texts::default().legacy(&entry("nobody")).read());
    assert_eq!(
        route(&publish(&mut library, &[]), "a").provider.name,
        "groq"
    );
}

#[test]
fn a_route_says_where_it_goes() {
    let address = |provider: &str, more: &str| {
        let texts = Texts::default()
            .provider("acme", provider)
            .model("m", &one_route("m", "acme", more));
        let catalog = catalog(&texts, &[("ACME_API_KEY", "k"), ("HOST_NAME", "expanded")]);
        assert_eq!(catalog.faults, []);
        let route = route(&catalog, "m");
        (route.url.clone(), route.stream_url.clone())
    };
    let both = |url: &str| (url.to_owned(), url.to_owned());
    assert_eq!(address(ACME, ""), both("http://acme/v1/chat/completions"));
    assert_eq!(
        address(ACME, r#", "base_url": "http://own/x/""#),
        both("http://own/x/chat/completions")
    );
    assert_eq!(
        address(ACME, r#", "wire_protocol": "anthropic""#),
        both("http://acme/v1/messages")
    );
    assert_eq!(
        address(
            r#"{"endpoints": {"base_url": "http://a"}, "proxy_support": {"enabled": true, "base_url_override": "http://b"}}"#,
            ""
        ),
        both("http://b/chat/completions")
    );
    assert_eq!(
        address(
            r#"{"endpoints": {"base_url": "http://${HOST_NAME}/v1", "completions": "/c", "streaming": "/s"}}"#,
            ""
        ),
        (
            "http://expanded/v1/c".to_owned(),
            "http://expanded/v1/s".to_owned()
        )
    );
    assert_eq!(
        address(
            r#"{"endpoints": {"base_url": "http://a", "completions": "/deployments/{model}/chat?v=1"}}"#,
            ""
        ),
        both("http://a/deployments/upstream/chat?v=1")
    );
}

#[test]
fn a_mapped_model_goes_up_under_its_other_name() {
    let texts = Texts::default()
        .provider(
            "acme",
            r#"{"endpoints": {"base_url": "http://a"}, "model_mapping": {"upstream": "really"}}"#,
        )
        .route("m", "acme");
    assert_eq!(route(&catalog(&texts, &[]), "m").model, "really");
}

#[test]
fn an_unset_variable_makes_the_provider_unusable_and_is_named() {
    let texts = Texts::default().route("m", "cloudflare");
    let without = catalog(&texts, &[("CLOUDFLARE_API_KEY", "k")]);
    assert_eq!(without.faults, []);
    assert_eq!(
        route(&without, "m").provider.unusable.as_deref(),
        Some("variable `CLOUDFLARE_ACCOUNT_ID` is not set")
    );
    assert_eq!(
        told(&without.warnings),
        [
            "provider cloudflare: variable `CLOUDFLARE_ACCOUNT_ID` is not set, so routes of model `m` are skipped"
        ]
    );
    let with = catalog(
        &texts,
        &[
            ("CLOUDFLARE_API_KEY", "k"),
            ("CLOUDFLARE_ACCOUNT_ID", "account-7"),
        ],
    );
    assert_eq!(route(&with, "m").provider.unusable, None);
    assert!(route(&with, "m").url.contains("/accounts/account-7/ai/"));
    assert_eq!(
        with.scrubber.scrub("see account-7"),
        "see [CLOUDFLARE_ACCOUNT_ID]"
    );
}

#[test]
fn a_variable_that_makes_no_address_or_header_is_told() {
    let texts = Texts::default()
        .provider("a", r#"{"endpoints": {"base_url": "${A_URL}/v1"}}"#)
        .provider("b", r#"{"endpoints": {"base_url": "http://b"}, "authentication": {"additional_headers": {"x-b": "${B}"}}}"#);
    let catalog = catalog(&texts, &[("A_URL", "localhost:1"), ("B", "two\nlines")]);
    let reason = |name| provider(&catalog, name).unusable.clone().unwrap();
    assert!(reason("a").contains("must begin with http"));
    assert!(reason("b").contains("header `x-b`"));
}

#[test]
fn an_unset_variable_of_a_route_concerns_that_route_alone() {
    let texts = Texts::default()
        .provider("acme", ACME)
        .model(
            "m",
            &one_route("m", "acme", r#", "base_url": "http://${UNSET}/v1""#),
        )
        .route("n", "acme");
    let catalog = catalog(&texts, &[("ACME_API_KEY", "k")]);
    assert_eq!(
        route(&catalog, "m").provider.unusable.as_deref(),
        Some("variable `UNSET` is not set")
    );
    assert_eq!(route(&catalog, "n").provider.unusable, None);
    assert_eq!(provider(&catalog, "acme").unusable, None);
}

#[test]
fn headers_keep_their_expanded_values_to_themselves() {
    let texts = Texts::default().provider(
        "acme",
        r#"{"endpoints": {"base_url": "http://a"}, "authentication": {"additional_headers": {"X-Token": "t ${TOKEN}"}}}"#,
    );
    let catalog = catalog(&texts, &[("TOKEN", "hush-hush")]);
    let acme = provider(&catalog, "acme");
    assert_eq!(acme.headers[0].0, "x-token");
    assert_eq!(acme.headers[0].1.expose(), "t hush-hush");
    assert!(!format!("{catalog:?}").contains("hush-hush"));
}

#[test]
fn a_route_with_its_own_keys_uses_only_them_and_the_ring_has_all() {
    let texts = Texts::default()
        .provider("acme", ACME)
        .model(
            "m",
            &one_route(
                "m",
                "acme",
                r#", "api_key_env": ["SPECIAL", "ACME_API_KEY"]"#,
            ),
        )
        .route("n", "acme");
    let catalog = catalog(
        &texts,
        &[
            ("ACME_API_KEY", "key-1"),
            ("ACME_API_KEY_1", "key-2"),
            ("SPECIAL", "key-3"),
        ],
    );
    assert_eq!(
        labels(&route(&catalog, "m").keys),
        ["SPECIAL", "ACME_API_KEY"]
    );
    assert_eq!(
        labels(&route(&catalog, "n").keys),
        ["ACME_API_KEY", "ACME_API_KEY_1"]
    );
    let acme = provider(&catalog, "acme");
    assert_eq!(
        labels(&acme.ring),
        ["ACME_API_KEY", "ACME_API_KEY_1", "SPECIAL"]
    );
    assert!(Arc::ptr_eq(&route(&catalog, "m").keys[1], &acme.keys[0]));
    assert!(Arc::ptr_eq(
        &route(&catalog, "n").provider,
        &catalog.providers["acme"]
    ));
}

#[test]
fn what_lacks_a_key_is_warned_of_once_for_each_provider_and_only_if_used() {
    let texts = Texts::default()
        .route("a", "openai")
        .route("b", "openai")
        .route("c", "openai")
        .route("d", "github")
        .model("e", &one_route("e", "groq", r#", "api_key_env": ["MINE"]"#));
    let catalog = catalog(&texts, &[("GROQ_API_KEY", "k")]);
    assert_eq!(
        told(&catalog.warnings),
        [
            "GITHUB_TOKEN: is not set and provider `github` has no key, so routes of model `d` are skipped",
            "OPENAI_API_KEY: is not set and provider `openai` has no key, so routes of model `a` and 2 others are skipped",
            "models/e.json:1:99: none of the variables in api_key_env is set (MINE), so this route is skipped",
        ]
    );
}

#[test]
fn nothing_is_said_about_a_provider_that_is_disabled_on_purpose() {
    let texts = Texts::default()
        .provider(
            "acme",
            r#"{"enabled": false, "endpoints": {"base_url": "http://a"}}"#,
        )
        .route("m", "acme");
    let catalog = catalog(&texts, &[]);
    assert!(!provider(&catalog, "acme").enabled);
    assert_eq!(catalog.warnings, []);
}

#[test]
fn the_nearest_cooldown_counts_zero_included() {
    let cooldown = |provider: &str, model: &str, route_text: &str| {
        let texts = Texts::default()
            .provider("acme", &format!(r#"{{"endpoints": {{"base_url": "http://a"}}{provider}}}"#))
            .model(
                "m",
                &format!(r#"{{"logical_name": "m"{model}, "model_routings": [{{"provider": "acme", "model": "upstream"{route_text}}}]}}"#),
            );
        let catalog = catalog(&texts, &[]);
        assert_eq!(catalog.faults, []);
        route(&catalog, "m").cooldown.as_secs()
    };
    let rates = r#", "rate_limiting": {"cooldown_seconds": 4}"#;
    let models = r#", "rate_limiting": {"cooldown_seconds": 4}, "models": {"upstream": {"cooldown_seconds": 2}}"#;
    let default = r#", "default_cooldown_seconds": 3"#;
    assert_eq!(cooldown("", "", ""), 300);
    assert_eq!(cooldown(rates, "", ""), 4);
    assert_eq!(cooldown(rates, default, ""), 3);
    assert_eq!(cooldown(models, default, ""), 2);
    assert_eq!(cooldown(models, default, r#", "cooldown_seconds": 0"#), 0);
}

#[test]
fn a_cooldown_of_zero_in_the_settings_switches_every_rest_off() {
    let texts = Texts::default().route("m", "gemini");
    assert!(route(&catalog(&texts, &[("KEY_COOLDOWN_SECONDS", "0")]), "m").cooldowns_off);
    assert!(!route(&catalog(&texts, &[]), "m").cooldowns_off);
}

#[test]
fn what_the_model_says_arrives() {
    let text = r#"{"logical_name": "m", "strict": true, "stream_recovery": "error", "timeout_seconds": 7,
        "model_routings": [{"provider": "openai", "model": "a"}, {"id": "x", "provider": "openai", "model": "b"}],
        "fallback_model_routings": ["m", "n"]}"#;
    let texts = Texts::default().model("m", text);
    let catalog = catalog(&texts, &[("OPENAI_API_KEY", "k")]);
    let model = model(&catalog, "m");
    assert!(model.strict);
    assert_eq!(model.stream_recovery, StreamRecovery::Error);
    assert_eq!(model.keepalive, Some(Duration::from_secs(15)));
    assert_eq!(model.fallbacks, ["m", "n"]);
    let ids: Vec<_> = model.routes.iter().map(|route| route.id.as_str()).collect();
    assert_eq!(ids, ["1", "x"]);
    assert_eq!(model.routes[0].timeouts.idle, Duration::from_secs(7));
    assert_eq!(
        told(&catalog.warnings),
        [
            "models/m.json:3:42: there is no model `n` to fall back to; it is skipped; did you mean `m`?"
        ]
    );
}

#[test]
fn how_a_model_is_asked_to_think_is_said_by_the_nearest_level() {
    let provider =
        r#"{"endpoints": {"base_url": "https://a"}, "request_config": {"reasoning": false}}"#;
    let styles = |level: &str, route: &str| {
        let text = format!(
            r#"{{"logical_name": "m"{level}, "model_routings": [{{"provider": "acme", "model": "a"{route}}}]}}"#
        );
        let texts = Texts::default()
            .provider("acme", provider)
            .model("m", &text);
        route_of(&texts)
    };
    assert_eq!(styles("", ""), ReasoningStyle::None);
    assert_eq!(
        styles(r#", "reasoning": "adaptive""#, ""),
        ReasoningStyle::Adaptive
    );
    assert_eq!(
        styles(r#", "reasoning": "adaptive""#, r#", "reasoning": true"#),
        ReasoningStyle::Usual
    );
}

fn route_of(texts: &Texts) -> ReasoningStyle {
    route(&catalog(texts, &[]), "m").reasoning
}

#[test]
fn pings_can_be_switched_off_by_model_and_by_setting() {
    let text = r#"{"logical_name": "m", "keepalive_seconds": 0, "model_routings": [{"provider": "openai", "model": "a"}]}"#;
    let texts = Texts::default().model("m", text).route("n", "openai");
    assert_eq!(model(&catalog(&texts, &[]), "m").keepalive, None);
    assert_eq!(
        model(&catalog(&texts, &[("KEEPALIVE_SECONDS", "0")]), "n").keepalive,
        None
    );
}

#[test]
fn models_are_in_name_order_and_found_by_name() {
    let texts = Texts::default()
        .route("b", "openai")
        .route("a", "openai")
        .route("c/d", "openai");
    let catalog = catalog(&texts, &[]);
    assert_eq!(catalog.models.keys().collect::<Vec<_>>(), ["a", "b", "c/d"]);
    assert!(catalog.model("../b").is_none());
}

#[test]
fn every_secret_is_scrubbed_under_its_label_and_none_is_printed() {
    let catalog = catalog(
        &Texts::default().model(
            "m",
            &one_route("m", "openai", r#", "api_key_env": ["MINE"]"#),
        ),
        &[
            ("OPENAI_API_KEY", "sk-openai"),
            ("MINE", "sk-mine-own"),
            ("CLIENT_API_KEY_2", "not-a-client"),
        ],
    );
    assert_eq!(
        catalog
            .scrubber
            .scrub("sk-openai sk-mine-own client-secret"),
        "[OPENAI_API_KEY] [MINE] [client-1]"
    );
    let printed = format!("{:?} {:?}", catalog.providers, catalog.models);
    for secret in ["sk-openai", "sk-mine-own", "client-secret"] {
        assert!(!printed.contains(secret));
    }
}

#[test]
fn without_a_client_key_a_warning_says_what_happens_and_the_start_may_be_refused() {
    let environment: Environment = [("REQUIRE_CLIENT_API_KEY", "true")].into_iter().collect();
    let settings = Settings::load(None, &environment).unwrap();
    let mut library = Library::new();
    let catalog = library.catalog(&settings, &environment);
    assert_eq!(
        told(&catalog.warnings),
        [
            "CLIENT_API_KEY: is not set, so every request is refused with 401: set it to a key of your choice"
        ]
    );
    assert_eq!(
        told(&catalog.reasons_not_to_start(&settings)),
        ["CLIENT_API_KEY: is not set, and REQUIRE_CLIENT_API_KEY is true"]
    );
    let settings = Settings::load(None, &Environment::default()).unwrap();
    assert_eq!(catalog.reasons_not_to_start(&settings), []);
}

#[test]
fn the_configuration_of_this_repository_is_right() {
    let environment = environment(&[("OPENAI_API_KEY", "k1"), ("ANTHROPIC_API_KEY", "k2")]);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let settings = Settings::load(Some(&directory), &environment).unwrap();
    let catalog = crate::config::load(&settings, &environment);
    assert_eq!(catalog.faults, []);
    assert_eq!(catalog.warnings, []);
    let names: Vec<_> = catalog.models.keys().map(String::as_str).collect();
    assert_eq!(names, ["claude-sonnet-4-5", "gpt-5.2"]);
    assert!(model(&catalog, "gpt-5.2").created > 0);
    let claude = route(&catalog, "claude-sonnet-4-5");
    assert_eq!(claude.url, "https://api.anthropic.com/v1/messages");
    assert_eq!(claude.protocol, Protocol::Anthropic);
}

#[test]
fn ten_thousand_models_are_no_burden() {
    let mut texts = Texts::default();
    for number in 0..10_000 {
        let text = format!(
            r#"{{"logical_name": "model-{number}", "timeout_seconds": 60,
                 "model_routings": [
                   {{"provider": "openai", "model": "gpt", "cooldown_seconds": 5}},
                   {{"provider": "groq", "model": "llama", "api_key_env": ["GROQ_API_KEY_{}"]}}],
                 "fallback_model_routings": ["model-{}"]}}"#,
            number % 10,
            number + 1,
        );
        texts = texts.model(&format!("model-{number}"), &text);
    }
    let variables: Vec<_> = (0..10)
        .map(|number| (format!("GROQ_API_KEY_{number}"), format!("key-{number}")))
        .collect();
    let mut variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    variables.push(("OPENAI_API_KEY", "key"));
    let files = texts.read();
    let mut library = Library::new();
    let begin = Instant::now();
    library.update(files);
    let parsed = begin.elapsed();
    let catalog = publish(&mut library, &variables);
    let resolved = begin.elapsed() - parsed;
    assert_eq!(catalog.models.len(), 10_000);
    assert_eq!(catalog.faults, []);
    assert_eq!(catalog.warnings.len(), 1);
    // Unoptimised and beside other tests; a release build takes a small part of it.
    assert!(
        parsed + resolved < Duration::from_secs(20),
        "parsed in {parsed:?}, resolved in {resolved:?}"
    );
    println!("parsed in {parsed:?}, resolved in {resolved:?}");
}

#[test]
fn files_that_are_as_they_were_stay_and_others_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let models = directory.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let write = |name: &str, provider: &str| {
        let text = one_route(name, provider, "");
        std::fs::write(models.join(format!("{name}.json")), text).unwrap();
    };
    for name in ["a", "b", "c", "d"] {
        write(name, "openai");
    }
    let environment = environment(&[]);
    let settings = Settings::load(Some(directory.path()), &environment).unwrap();
    let mut library = Library::new();
    let later = SystemTime::now() + Duration::from_secs(10);
    let mut reload = || {
        library.reread(&settings, later);
        let catalog = library.catalog(&settings, &environment);
        let told = |model: &Arc<Model>| model.routes[0].provider.name.clone();
        let models = catalog.models.iter();
        let models = models.map(|(name, model)| format!("{name} {}", told(model)));
        models.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(reload(), "a openai, b openai, c openai, d openai");
    write("b", "anthropic");
    std::fs::remove_file(models.join("c.json")).unwrap();
    write("e", "openai");
    assert_eq!(reload(), "a openai, b anthropic, d openai, e openai");
    assert_eq!(reload(), "a openai, b anthropic, d openai, e openai");
    // As many files as before.
    std::fs::rename(models.join("e.json"), models.join("f.json")).unwrap();
    write("f", "openai");
    assert_eq!(reload(), "a openai, b anthropic, d openai, f openai");
}
