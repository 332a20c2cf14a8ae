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

#[cfg(test)]
mod tests {
    use super::*;

    fn models(count: u64) -> Vec<ModelInfo> {
        (0..count)
            .map(|number| ModelInfo {
                id: format!("m{number}"),
                owned_by: "p".to_owned(),
                created: 1_700_000_000 + number,
            })
            .collect()
    }

    /// First id, last id, how many, and whether there are more.
    fn page(
        models: &[ModelInfo],
        limit: Option<usize>,
        after: &str,
        before: &str,
    ) -> (String, String, usize, bool) {
        let id = |id: &str| Some(id.to_owned()).filter(|id| !id.is_empty());
        let page = Page {
            limit,
            after_id: id(after),
            before_id: id(before),
        };
        let list: Value = serde_json::from_str(&model_list(models, &page)).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let data = list["data"].as_array().unwrap();
        assert_eq!(
            text(&list["first_id"]),
            data.first()
                .map_or("-".to_owned(), |model| text(&model["id"]))
        );
        let more = list["has_more"].as_bool().unwrap();
        (
            text(&list["first_id"]),
            text(&list["last_id"]),
            data.len(),
            more,
        )
    }

    fn shown(first: &str, last: &str, count: usize, more: bool) -> (String, String, usize, bool) {
        (first.to_owned(), last.to_owned(), count, more)
    }

    #[test]
    fn a_model_has_the_shape_of_the_real_api() {
        assert_eq!(
            model_object(&models(1)[0]),
            r#"{"type":"model","id":"m0","display_name":"m0","created_at":"2023-11-14T22:13:20Z"}"#
        );
        let odd = ModelInfo {
            created: u64::MAX,
            ..models(1).remove(0)
        };
        assert!(model_object(&odd).contains("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn pages_are_cut_by_limit_and_ids() {
        let models = models(30);
        assert_eq!(page(&models, None, "", ""), shown("m0", "m19", 20, true));
        assert_eq!(
            page(&models, Some(1000), "", ""),
            shown("m0", "m29", 30, false)
        );
        assert_eq!(page(&models, Some(0), "", ""), shown("m0", "m0", 1, true));
        assert_eq!(page(&models, Some(5), "m4", ""), shown("m5", "m9", 5, true));
        assert_eq!(
            page(&models, Some(5), "m26", ""),
            shown("m27", "m29", 3, false)
        );
        assert_eq!(
            page(&models, Some(5), "", "m10"),
            shown("m5", "m9", 5, true)
        );
        assert_eq!(
            page(&models, Some(5), "", "m3"),
            shown("m0", "m2", 3, false)
        );
        assert_eq!(
            page(&models, Some(5), "m2", "m5"),
            shown("m3", "m4", 2, false)
        );
        assert_eq!(page(&models, None, "m9", "m5"), shown("-", "-", 0, false));
        assert_eq!(page(&models, None, "m29", ""), shown("-", "-", 0, false));
        assert_eq!(page(&models, None, "x", ""), shown("-", "-", 0, false));
        assert_eq!(page(&[], None, "", ""), shown("-", "-", 0, false));
    }

    #[test]
    fn a_client_that_pages_sees_every_model_once() {
        let models = models(23);
        let (mut after, mut seen) = (String::new(), 0);
        loop {
            let (_, last, count, more) = page(&models, Some(5), &after, "");
            seen += count;
            if !more {
                break;
            }
            after = last;
        }
        assert_eq!(seen, 23);
    }
}
