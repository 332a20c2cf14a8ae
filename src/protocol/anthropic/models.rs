//! The listing of models, page by page.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::protocol::models::ModelInfo;

/// Models on a page that nobody gave a length.
const DEFAULT_LENGTH: usize = 20;

/// Models on the longest page.
const LONGEST: usize = 1000;

/// The part of a listing that a client asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Models on it, 1 to 1000; 20 if not given.
    pub limit: Option<usize>,
    /// It begins after the model of this id.
    pub after_id: Option<String>,
    /// It ends before the model of this id.
    pub before_id: Option<String>,
}

/// One page of the models, as `GET /v1/models` answers. A page after or before a model that is not there is empty.
pub fn model_list(models: &[ModelInfo], page: &Page) -> String {
    let length = page.limit.unwrap_or(DEFAULT_LENGTH).clamp(1, LONGEST);
    let position = |id: &str| models.iter().position(|model| model.id == id);
    let start = page.after_id.as_deref();
    let start = start.map_or(Some(0), |id| position(id).map(|found| found + 1));
    let end = page.before_id.as_deref();
    let end = end.map_or(Some(models.len()), position);
    let range = start
        .zip(end)
        .and_then(|(start, end)| models.get(start..end));
    let range = range.unwrap_or_default();

    let surplus = range.len().saturating_sub(length);
    // Backwards, the page is the one next to `before_id`.
    let backwards = page.before_id.is_some() && page.after_id.is_none();
    let skipped = if backwards { surplus } else { 0 };
    let shown = || range.iter().skip(skipped).take(length);
    let data: Vec<Value> = shown().map(object).collect();
    json!({
        "data": data,
        "has_more": surplus > 0,
        "first_id": shown().next().map(|model| &model.id),
        "last_id": shown().next_back().map(|model| &model.id),
    })
    .to_string()
}

/// One model, as `GET /v1/models/{id}` answers.
pub fn model_object(model: &ModelInfo) -> String {
    object(model).to_string()
}

fn object(model: &ModelInfo) -> Value {
    let created = i64::try_from(model.created).unwrap_or(0);
    let created = Timestamp::from_second(created).unwrap_or_default();
    json!({
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": created.to_string(),
    })
}
