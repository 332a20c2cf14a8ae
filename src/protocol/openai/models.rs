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
