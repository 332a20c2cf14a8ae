//! The listing of models.

use serde_json::{Value, json};

use crate::protocol::models::ModelInfo;

/// All models, as `GET /v1/models` answers.
pub fn model_list(models: &[ModelInfo]) -> String {
    let data: Vec<Value> = models.iter().map(object).collect();
    json!({"object": "list", "data": data}).to_string()
}

/// One model, as `GET /v1/models/{id}` answers.
pub fn model_object(model: &ModelInfo) -> String {
    object(model).to_string()
}

fn object(model: &ModelInfo) -> Value {
    json!({
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_has_the_shape_of_the_real_api() {
        let model = ModelInfo {
            id: "a/b".to_owned(),
            owned_by: "p".to_owned(),
            created: 7,
        };
        let object = r#"{"id":"a/b","object":"model","created":7,"owned_by":"p"}"#;
        assert_eq!(model_object(&model), object);
        assert_eq!(
            model_list(&[model]),
            format!(r#"{{"object":"list","data":[{object}]}}"#)
        );
        assert_eq!(model_list(&[]), r#"{"object":"list","data":[]}"#);
    }
}
